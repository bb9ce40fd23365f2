"""The state machine of versions and weight sets: lock, check, change the state, record the step.

Every step is one transaction:
1. `check_reason` refuses an empty reason.
2. `claim` locks all versions and reads the row; `check_state` refuses a state that does not allow the step.
3. `check_shown` refuses contents that are not those which the person was shown.
4. `move` changes the state, and `record` appends who took the step, when and why.
"""

from collections.abc import Collection, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from featurehub.lib.errors import ConflictError, InvalidError, UnknownError
from features.lifecycle.shown import Change, Shown, changes_between, shown_of
from features.models import FeatureVersion, FeatureVersionStep, WeightSet, WeightSetStep
from features.registry.snapshot import registry_snapshot

VersionState = FeatureVersion.State
WeightSetState = WeightSet.State
# The states of a set between draft and active. Its numbers don't change in them, so that it can be scored in shadow.
UNDER_WAY = (WeightSetState.PROPOSED, WeightSetState.APPROVED, WeightSetState.SCHEDULED)
# A person; None is FeatureHub itself.
Actor: TypeAlias = User | None
Claimed = TypeVar("Claimed", FeatureVersion, WeightSet)
# `kept_with` is "version" or "set".
SAY_WHY = "Say why: it is kept with the {kept_with}."
CHANGES_NAMED = 5


class ChangedSinceError(ConflictError):
    """A version or weight set is not what the person was shown any more.

    `changes` are what has changed since; `summary` is the detail without them.
    """

    code = "changed_since"

    def __init__(self, row: FeatureVersion | WeightSet, *, changes: Sequence[Change]) -> None:
        named = "; ".join(str(change) for change in changes[:CHANGES_NAMED])
        more = f"; and {len(changes) - CHANGES_NAMED} more" if len(changes) > CHANGES_NAMED else ""
        self.summary = f"{row} is not what you were shown any more{last_step(row)}. Nothing was done: look at it again."
        super().__init__(f"{self.summary} {named}{more}.")
        self.changes = changes


def check_reason(reason: str, *, kept_with: str) -> None:
    """Raise InvalidError for an empty reason."""
    if not reason.strip():
        raise InvalidError(SAY_WHY.format(kept_with=kept_with), attr="reason")


def lock_versions() -> None:
    """Lock all versions, in the order of their primary keys, until the transaction ends.

    Steps of versions and of weight sets take this same lock, so each sees what the one before has committed.
    """
    # FOR NO KEY UPDATE, not FOR UPDATE. It conflicts with itself, which is enough to take steps one after the other:
    # a set that is activated later is also committed later, so `activated_at`, the time of a statement after the lock,
    # orders the activations of all versions (`materialization.runs.earlier_sets` needs that). But it does not conflict
    # with the KEY SHARE lock of a foreign key: a reader whose use of a version is noted (VersionUse) does not wait.
    # All types, not only behavioral ones: a version's step can change weight sets, and a second lock in another order
    # could deadlock.
    list(FeatureVersion.objects.order_by("pk").select_for_update(no_key=True))


def claim(rows: QuerySet[Claimed], *, pk: int, called: str) -> Claimed:
    """Lock all versions and return the row with this primary key. `called` names its kind in the error.

    Raises UnknownError where there is none.
    """
    lock_versions()
    row = rows.filter(pk=pk).first()
    if row is None:
        raise UnknownError(f"There is no {called} {pk}.")
    return row


def claim_version(version_id: int, *, allowed: Collection[str], reason: str) -> FeatureVersion:
    """Return a version that is in one of the `allowed` states, all versions being locked.

    Raises InvalidError for an empty reason, UnknownError, and ConflictError for another state.
    """
    check_reason(reason, kept_with="version")
    version = claim(FeatureVersion.objects.all(), pk=version_id, called="version")
    check_state(version, allowed=allowed)
    return version


def claim_shown_version(
    version_id: int, *, allowed: Collection[str], reason: str, by: Actor, shown: Shown | None
) -> FeatureVersion:
    """Return a version as `claim_version` does, with its definitions locked too, if it is what `by` was shown.

    Raises what `claim_version` and `check_shown` raise.
    """
    version = claim_version(version_id, allowed=allowed, reason=reason)
    # A definition that is changed at this moment has been changed before it is compared, or is changed after the step.
    list(version.definitions.order_by("pk").select_for_update(of=("self",), no_key=True))
    check_shown(version, by=by, shown=shown)
    return version


def claim_set(
    weight_set_id: int, *, allowed: Collection[str], reason: str, by: Actor, shown: Shown | None
) -> WeightSet:
    """Return a set that is in one of the `allowed` states and what `by` was shown, its row and all versions locked.

    Raises InvalidError for an empty reason, UnknownError, ConflictError for another state or a retired version, and
    what `check_shown` raises.
    """
    check_reason(reason, kept_with="set")
    weight_set = claim_set_in_any_state(weight_set_id)
    check_is_not_retired(weight_set.version)
    check_state(weight_set, allowed=allowed)
    check_shown(weight_set, by=by, shown=shown)
    return weight_set


def claim_set_in_any_state(weight_set_id: int) -> WeightSet:
    """Return a set, its row and all versions being locked. Raise UnknownError."""
    # FOR UPDATE of the set's row: the trigger on its weights locks it FOR SHARE, so an edit and a step don't overlap.
    sets = WeightSet.objects.select_for_update(of=("self",)).select_related("version")
    return claim(sets, pk=weight_set_id, called="weight set")


def check_is_not_retired(version: FeatureVersion) -> None:
    """Raise ConflictError where no customer is scored by the version any more."""
    if version.state == VersionState.RETIRED:
        raise ConflictError(f"{version} is retired: no customer is scored with its weights any more.")


def check_state(row: FeatureVersion | WeightSet, *, allowed: Collection[str]) -> None:
    """Raise ConflictError, saying who was faster, for a row in none of the `allowed` states."""
    if row.state not in allowed:
        raise ConflictError(f"{row} is {row.state} by now{last_step(row)}. Nothing was changed.")


def check_shown(row: FeatureVersion | WeightSet, *, by: Actor, shown: Shown | None) -> None:
    """Raise ChangedSinceError unless the row, which is locked, is what the person was shown.

    Only FeatureHub itself (`by` is None) takes a step without having been shown anything; a person gets InvalidError.
    """
    if shown is None:
        if by is not None:
            raise InvalidError(f"A step of {row} takes what you were shown of it.", attr="shown")
        return
    changes = changes_between(shown, shown_of(row))
    if changes:
        raise ChangedSinceError(row, changes=changes)


def last_step(row: FeatureVersion | WeightSet) -> str:
    """Return by whom and when the last step was taken, as the end of a clause; empty where there is none."""
    step = row.steps.select_related("by").last()
    if step is None:
        return ""
    action = f"{step.get_action_display().lower()} " if isinstance(step, WeightSetStep) else ""
    return f" ({action}by {step.by or 'FeatureHub'} at {step.at:%H:%M:%S} UTC)"


def move(
    row: FeatureVersion | WeightSet,
    state: str,
    *,
    by: Actor,
    reason: str,
    action: str = "",
    **changes: object,
) -> None:
    """Put the row in a state, with `changes` of other fields, and record the step. `action` is as in `record`."""
    cleared = cleared_of_set(state) if isinstance(row, WeightSet) else {}
    type(row)._default_manager.filter(pk=row.pk).update(state=state, **(cleared | changes))
    row.refresh_from_db()
    record(row, by=by, reason=reason, action=action)


def cleared_of_set(state: str) -> dict[str, object]:
    """Return the fields that a weight set loses with its move to a state: schedule, approval, shadow."""
    cleared: dict[str, object] = {"activate_at": None}
    if state in (WeightSetState.DRAFT, WeightSetState.PROPOSED):
        cleared |= {"approved_by": None, "approved_at": None}
    if state not in UNDER_WAY:
        cleared |= {"shadow_since": None}
    return cleared


def record(row: FeatureVersion | WeightSet, *, by: Actor, reason: str, action: str = "") -> None:
    """Append a step to the row's history: `action` of a weight set, or the state that a version is in now."""
    if isinstance(row, WeightSet):
        WeightSetStep.objects.create(weight_set=row, action=action, by=by, reason=reason)
        return
    FeatureVersionStep.objects.create(version=row, state=row.state, by=by, reason=reason)
    # This process reads the registry anew at once, the others within seconds.
    transaction.on_commit(partial(registry_snapshot.forget))
