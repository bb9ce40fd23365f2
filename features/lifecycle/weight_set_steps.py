"""The life of a weight set: draft → proposed → approved → scheduled → active → superseded.

Every step is one transaction: the versions' rows are the lock that all steps meet at, the state is checked under it,
and who did it, when and why is recorded. Without two-person approval the later steps take in the earlier ones:
whoever may activate a draft approves it by that.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TypeAlias

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from events.event_types import EVENT_TYPES
from featurehub.lib.errors import ConflictError, InvalidError, UnknownError
from features.formulas.behavioral import Weights
from features.materialization.runs import enqueue_run
from features.models import Customer, FeatureType, FeatureVersion, Run, Weight, WeightSet, WeightSetStep
from features.registry.weight_sets import as_weights

# A person; None is FeatureHub itself.
Actor: TypeAlias = User | None
State, Action, Origin = WeightSet.State, WeightSetStep.Action, WeightSet.Origin

# Their numbers do not change: a change makes them drafts, and ends the shadow.
CAN_BE_SHADOWS = (State.PROPOSED, State.APPROVED, State.SCHEDULED)
# The steps after which a person counts as an author of a set's numbers.
AUTHORING = (Action.CREATED, Action.EDITED)


def draft_weight_set(
    *, version: str, name: str, reason: str, numbers: Weights, by: Actor, origin: str = Origin.HAND
) -> WeightSet:
    """A new draft with these numbers. Raises UnknownError for an unknown behavioral version, ConflictError for
    a retired one."""
    with transaction.atomic():
        owner = FeatureVersion.objects.filter(feature_type="behavioral", number=version).first()
        if owner is None:
            raise UnknownError(f"There is no behavioral version {version}.", attr="version")
        check_is_not_retired(owner)
        weight_set = WeightSet.objects.create(
            version=owner, name=name, reason=reason, monetary_norm=numbers.monetary_norm, origin=origin, created_by=by
        )
        add_weights(weight_set, numbers=numbers)
        record(weight_set, action=Action.CREATED, by=by, reason=reason)
    return weight_set


def reopen(weight_set_id: int, *, by: Actor, reason: str) -> WeightSet:
    """Called before numbers change: a set that is under way becomes a draft again and loses its approval."""
    with transaction.atomic():
        weight_set = claim(weight_set_id)
        if weight_set.activated_at is not None:
            raise ConflictError(f"{weight_set} was activated: it does not change. Make a new draft from it.")
        if weight_set.state != State.DRAFT:
            move(weight_set, State.DRAFT, action=Action.SENT_BACK, by=by, reason=reason)
    return weight_set


def set_numbers(weight_set_id: int, *, numbers: Weights, name: str, by: Actor, reason: str) -> WeightSet:
    """Gives a set other numbers, as a draft. Raises ConflictError for one that was activated."""
    with transaction.atomic():
        weight_set = reopen(weight_set_id, by=by, reason="Its numbers were changed.")
        changes = {"monetary_norm": numbers.monetary_norm, "name": name, "reason": reason}
        WeightSet.objects.filter(pk=weight_set.pk).update(**changes)
        weight_set.weights.all().delete()
        add_weights(weight_set, numbers=numbers)
        record(weight_set, action=Action.EDITED, by=by, reason=reason)
    return weight_set


def propose(weight_set_id: int, *, by: Actor, reason: str) -> None:
    """Asks for approval of a draft."""
    with transaction.atomic():
        weight_set = claim(weight_set_id, allowed=(State.DRAFT,), reason=reason)
        check_numbers(weight_set)
        move(weight_set, State.PROPOSED, action=Action.PROPOSED, by=by, reason=reason)


def send_back(weight_set_id: int, *, by: Actor, reason: str) -> None:
    """Makes a set that is under way a draft again; its approval and schedule go."""
    with transaction.atomic():
        weight_set = claim(weight_set_id, allowed=(State.PROPOSED, State.APPROVED, State.SCHEDULED), reason=reason)
        move(weight_set, State.DRAFT, action=Action.SENT_BACK, by=by, reason=reason)


def approve(weight_set_id: int, *, by: Actor, reason: str) -> None:
    """Approves a proposed set. With two-person approval its authors can't."""
    with transaction.atomic():
        weight_set = claim(weight_set_id, allowed=(State.PROPOSED,), reason=reason)
        check_is_no_author(weight_set, by=by)
        move(
            weight_set, State.APPROVED, action=Action.APPROVED, by=by, reason=reason, approved_by=by, approved_at=Now()
        )


def schedule(weight_set_id: int, *, at: datetime, now: datetime, by: Actor, reason: str) -> None:
    """Has the set activated at a moment, by beat. Raises InvalidError where the moment has passed."""
    if at <= now:
        raise InvalidError("That moment has passed: choose a later one, or activate the set now.", attr="at")
    with transaction.atomic():
        weight_set = claim(weight_set_id, allowed=(*before_activation(), State.SCHEDULED), reason=reason)
        check_numbers(weight_set)
        moment = f"For {at:%Y-%m-%d %H:%M} UTC. {reason}"
        move(
            weight_set, State.SCHEDULED, action=Action.SCHEDULED, by=by, reason=moment,
            activate_at=at, **approval(weight_set, by=by),
        )  # fmt: skip


def unschedule(weight_set_id: int, *, by: Actor, reason: str) -> None:
    """Takes a scheduled set off the schedule; it stays approved."""
    with transaction.atomic():
        weight_set = claim(weight_set_id, allowed=(State.SCHEDULED,), reason=reason)
        move(weight_set, State.APPROVED, action=Action.UNSCHEDULED, by=by, reason=reason)


def activate(weight_set_id: int, *, by: Actor, reason: str) -> Run:
    """Makes the set the active one, frozen from then on, and starts the run that re-scores every customer.

    Raises ConflictError where its state does not allow it (somebody was faster), InvalidError where it can't score.
    """
    with transaction.atomic():
        weight_set = claim(weight_set_id, allowed=(*before_activation(), State.SCHEDULED), reason=reason)
        check_numbers(weight_set)
        return make_active(weight_set, by=by, reason=reason)


def start_shadow(weight_set_id: int, *, by: Actor, reason: str) -> None:
    """Has the set scored beside the active one until it is taken out, changed or activated; readers see nothing."""
    with transaction.atomic():
        weight_set = claim(weight_set_id, allowed=CAN_BE_SHADOWS, reason=reason)
        if weight_set.shadow_since is not None:
            raise ConflictError(f"{weight_set} runs in shadow already{last_step(weight_set)}.")
        WeightSet.objects.filter(pk=weight_set.pk).update(shadow_since=Now())
        weight_set.shadow_days.all().delete()
        record(weight_set, action=Action.SHADOWED, by=by, reason=reason)


def end_shadow(weight_set_id: int, *, by: Actor, reason: str) -> None:
    """Ends the shadow; what it showed stays."""
    with transaction.atomic():
        weight_set = claim(weight_set_id, allowed=CAN_BE_SHADOWS, reason=reason)
        if weight_set.shadow_since is None:
            raise ConflictError(f"{weight_set} does not run in shadow by now{last_step(weight_set)}.")
        WeightSet.objects.filter(pk=weight_set.pk).update(shadow_since=None)
        record(weight_set, action=Action.UNSHADOWED, by=by, reason=reason)


def activate_due(*, now: datetime) -> list[Run]:
    """Activates the scheduled sets whose moment has come, in that order."""
    due = WeightSet.objects.filter(state=State.SCHEDULED, activate_at__lte=now).order_by("activate_at", "pk")
    return [run for pk in list(due.values_list("pk", flat=True)) if (run := activate_if_due(pk, now=now))]


def activate_if_due(weight_set_id: int, *, now: datetime) -> Run | None:
    """Activates one scheduled set; None where somebody was faster or changed the moment."""
    with transaction.atomic():
        weight_set = claim(weight_set_id)
        if weight_set.state != State.SCHEDULED or weight_set.activate_at is None or weight_set.activate_at > now:
            return None
        scheduled = weight_set.steps.filter(action=Action.SCHEDULED).select_related("by").last()
        reason = "Its scheduled moment has come."
        return make_active(weight_set, by=scheduled.by if scheduled else None, reason=reason)


def roll_back(weight_set_id: int, *, by: Actor, reason: str) -> Run:
    """Makes a new set with the numbers of an earlier active one, and activates it at once.

    The formulas get the same doubles, so customers get the very scores they had. Needs no second person: these
    numbers have been active before. Raises ConflictError for a set that was not.
    """
    with transaction.atomic():
        earlier = claim(weight_set_id, allowed=(State.SUPERSEDED,), reason=reason)
        weight_set = draft_weight_set(
            version=earlier.version.number, name=f"Back to {earlier.name}"[:128], reason=reason,
            numbers=as_weights(earlier), by=by, origin=Origin.ROLLBACK,
        )  # fmt: skip
        return make_active(weight_set, by=by, reason=f"Rolled back to {earlier}. {reason}")


def copy_to_version(weights: WeightSet, *, version: FeatureVersion, by: Actor, reason: str) -> WeightSet:
    """Gives a version that nobody has values of yet the numbers of an active set, as its own and active.

    No run is started: whatever computes the version's first values takes them. Needs no second person, as these
    numbers are active.
    """
    with transaction.atomic():
        lock_versions()
        why = f"The weights of {weights.version}, {weights}, for {version}. {reason}"
        own = draft_weight_set(
            version=version.number, name=weights.name, reason=why, numbers=as_weights(weights), by=by
        )
        swap_active(own, by=by, reason=why)
    return own


# --- What the steps are made of -----------------------------------------------------------------------------------


def claim(weight_set_id: int, *, allowed: tuple[str, ...] | None = None, reason: str | None = None) -> WeightSet:
    """The set, locked with all behavioral versions until the transaction ends, in one of the `allowed` states.

    Raises UnknownError, ConflictError for another state and, of a step, for a set of a retired version, InvalidError
    for an empty reason.
    """
    if reason is not None and not reason.strip():
        raise InvalidError("Say why: it is kept with the set, for whoever asks later.", attr="reason")
    lock_versions()
    sets = WeightSet.objects.select_for_update(of=("self",)).select_related("version")
    weight_set = sets.filter(pk=weight_set_id).first()
    if weight_set is None:
        raise UnknownError(f"There is no weight set {weight_set_id}.")
    if allowed is not None:
        check_is_not_retired(weight_set.version)
        if weight_set.state not in allowed:
            raise ConflictError(
                f"{weight_set} is {weight_set.state} by now{last_step(weight_set)}. Nothing was changed."
            )
    return weight_set


def lock_versions() -> None:
    """All behavioral versions, in one order, until the transaction ends.

    So what is activated later is also committed later, and `activated_at`, the moment of the statement that comes
    after the lock, says which weights a customer was computed under, see `runs.earlier_sets`.
    """
    list(FeatureVersion.objects.filter(feature_type=FeatureType.BEHAVIORAL).order_by("pk").select_for_update())


def last_step(weight_set: WeightSet) -> str:
    """Who took the last step when, for the person who came too late."""
    step = weight_set.steps.select_related("by").last()
    if step is None:
        return ""
    return f" ({step.get_action_display().lower()} by {step.by or 'FeatureHub'} at {step.at:%H:%M:%S} UTC)"


def move(weight_set: WeightSet, state: str, *, action: str, by: Actor, reason: str, **changes: object) -> None:
    """Puts the set in a state and records the step. Going on or back, what the new state does not hold goes."""
    cleared: Mapping[str, object] = {"activate_at": None}
    if state in (State.DRAFT, State.PROPOSED):
        cleared = {**cleared, "approved_by": None, "approved_at": None}
    if state not in CAN_BE_SHADOWS:
        cleared = {**cleared, "shadow_since": None}
    WeightSet.objects.filter(pk=weight_set.pk).update(state=state, **{**cleared, **changes})
    weight_set.refresh_from_db()
    record(weight_set, action=action, by=by, reason=reason)


def add_weights(weight_set: WeightSet, *, numbers: Weights) -> None:
    Weight.objects.bulk_create(
        Weight(weight_set=weight_set, event_type=name, weight=numbers.weight[name], norm=numbers.norm[name])
        for name in EVENT_TYPES
    )


def record(weight_set: WeightSet, *, action: str, by: Actor, reason: str) -> None:
    WeightSetStep.objects.create(weight_set=weight_set, action=action, by=by, reason=reason)


def make_active(weight_set: WeightSet, *, by: Actor, reason: str) -> Run:
    """Swaps the active set under the versions' lock, and starts the re-scoring when that is committed."""
    swap_active(weight_set, by=by, reason=reason)
    run = Run.objects.create(
        kind=Run.Kind.RESCORE,
        weight_set=weight_set,
        total=Customer.objects.filter(weight_set__isnull=False).count(),
    )
    transaction.on_commit(partial(enqueue_run, run))
    return run


def swap_active(weight_set: WeightSet, *, by: Actor, reason: str) -> None:
    """Makes the set its version's active one, under the versions' lock."""
    before = WeightSet.objects.filter(version=weight_set.version, state=State.ACTIVE).first()
    if before is not None:
        move(before, State.SUPERSEDED, action=Action.SUPERSEDED, by=by, reason=f"By {weight_set}")
    move(
        weight_set, State.ACTIVE, action=Action.ACTIVATED, by=by, reason=reason,
        activated_by=by, activated_at=Now(), **approval(weight_set, by=by),
    )  # fmt: skip


def approval(weight_set: WeightSet, *, by: Actor) -> dict[str, object]:
    """What approves a set that nobody has approved: whoever activates or schedules it, where one person is enough."""
    return {} if weight_set.approved_at is not None else {"approved_by": by, "approved_at": Now()}


def before_activation() -> tuple[str, ...]:
    """The states a set may be activated or scheduled from."""
    if settings.TWO_PERSON_APPROVAL:
        return (State.APPROVED,)
    return (State.DRAFT, State.PROPOSED, State.APPROVED)


def check_is_not_retired(version: FeatureVersion) -> None:
    """Raises ConflictError where no customer is scored by the version any more."""
    if version.state == FeatureVersion.State.RETIRED:
        raise ConflictError(f"{version} is retired: no customer is scored with its weights any more.")


def check_is_no_author(weight_set: WeightSet, *, by: Actor) -> None:
    """Raises ConflictError for an author of the set, where approval takes a second person."""
    if settings.TWO_PERSON_APPROVAL and weight_set.steps.filter(action__in=AUTHORING, by=by).exists():
        raise ConflictError("You wrote or changed these weights: somebody else has to approve them.")


def check_numbers(weight_set: WeightSet) -> None:
    """Raises InvalidError for a set that can't score."""
    numbers = as_weights(weight_set)
    lacking = [name.replace("_", " ") for name in EVENT_TYPES if name not in numbers.weight]
    if lacking:
        raise InvalidError(f"{weight_set} has no weight for {', '.join(lacking)}.")
    if not any(numbers.weight.values()):
        raise InvalidError(f"All weights of {weight_set} are zero: every customer would score 0.")
