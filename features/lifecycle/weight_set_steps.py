"""The life of a weight set: draft → proposed → approved → scheduled → active → superseded.

Without two-person approval the later steps include the earlier ones: whoever may activate a draft approves it by that.
"""

from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from featurehub.lib.errors import ConflictError, InvalidError, UnknownError
from features.formulas.behavioral import Weights
from features.lifecycle.shown import Shown
from features.lifecycle.steps import (
    UNDER_WAY,
    Actor,
    VersionState,
    WeightSetState,
    check_is_not_retired,
    claim_set,
    claim_set_in_any_state,
    last_step,
    lock_versions,
    move,
    record,
)
from features.materialization.runs import enqueue_run
from features.models import Customer, FeatureVersion, Run, Weight, WeightSet, WeightSetStep
from features.registry.weight_sets import active_set, as_weights, weighed_types

Action, Origin = WeightSetStep.Action, WeightSet.Origin

# Who took one of these steps is an author of the set's numbers.
AUTHORING = (Action.CREATED, Action.EDITED)


def draft_weight_set(
    *, version: str, name: str, reason: str, numbers: Weights, by: Actor, origin: str = Origin.HAND
) -> WeightSet:
    """Create a draft with these numbers.

    Raises UnknownError for an unknown behavioral version, ConflictError for a retired one.
    """
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


def version_of_new_sets() -> FeatureVersion:
    """Return the live behavioral version, all versions being locked: a set made in this transaction is not left behind.

    It is the version that goes live, also where its readers are not switched yet.
    """
    lock_versions()
    return FeatureVersion.objects.get(feature_type="behavioral", state=VersionState.LIVE)


def version_of_copies(weight_set: WeightSet) -> FeatureVersion:
    """Return the version that a copy of the set is for, and with whose active set it is compared.

    That is the set's own version as long as that is in shadow or live, and the live version afterwards.
    """
    if weight_set.version.state in (VersionState.SHADOW, VersionState.LIVE):
        return weight_set.version
    return FeatureVersion.objects.get(feature_type="behavioral", state=VersionState.LIVE)


def draft_copy(weight_set_id: int, *, name: str, reason: str, numbers: Weights, by: Actor) -> WeightSet:
    """Create a draft that began as a copy of a set. Raise ConflictError for a set of a retired version."""
    with transaction.atomic():
        copied = claim_set_in_any_state(weight_set_id)
        check_is_not_retired(copied.version)
        version = version_of_copies(copied)
        return draft_weight_set(version=version.number, name=name, reason=reason, numbers=numbers, by=by)


def reopen(weight_set_id: int, *, by: Actor, reason: str) -> WeightSet:
    """Make a set a draft again, without approval, before its numbers change. Raise ConflictError once it was active."""
    with transaction.atomic():
        weight_set = claim_set_in_any_state(weight_set_id)
        if weight_set.activated_at is not None:
            raise ConflictError(f"{weight_set} was activated: it does not change. Make a new draft from it.")
        if weight_set.state != WeightSetState.DRAFT:
            move(weight_set, WeightSetState.DRAFT, action=Action.SENT_BACK, by=by, reason=reason)
    return weight_set


def set_numbers(weight_set_id: int, *, numbers: Weights, name: str, by: Actor, reason: str) -> WeightSet:
    """Replace a set's numbers; it becomes a draft. Raise ConflictError for one that was activated."""
    with transaction.atomic():
        weight_set = reopen(weight_set_id, by=by, reason="Its numbers were changed.")
        changes = {"monetary_norm": numbers.monetary_norm, "name": name, "reason": reason}
        WeightSet.objects.filter(pk=weight_set.pk).update(**changes)
        weight_set.weights.all().delete()
        add_weights(weight_set, numbers=numbers)
        record(weight_set, action=Action.EDITED, by=by, reason=reason)
    return weight_set


def propose(weight_set_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> None:
    """Ask for approval of a draft."""
    with transaction.atomic():
        weight_set = claim_set(weight_set_id, allowed=(WeightSetState.DRAFT,), reason=reason, by=by, shown=shown)
        check_numbers(weight_set)
        move(weight_set, WeightSetState.PROPOSED, action=Action.PROPOSED, by=by, reason=reason)


def send_back(weight_set_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> None:
    """Make a set that is not active yet a draft again, without approval and schedule."""
    with transaction.atomic():
        weight_set = claim_set(weight_set_id, allowed=UNDER_WAY, reason=reason, by=by, shown=shown)
        move(weight_set, WeightSetState.DRAFT, action=Action.SENT_BACK, by=by, reason=reason)


def approve(weight_set_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> None:
    """Approve a proposed set. Raise ConflictError for an author of it under two-person approval."""
    with transaction.atomic():
        weight_set = claim_set(weight_set_id, allowed=(WeightSetState.PROPOSED,), reason=reason, by=by, shown=shown)
        check_is_no_author(weight_set, by=by)
        move(
            weight_set, WeightSetState.APPROVED, action=Action.APPROVED, by=by, reason=reason,
            approved_by=by, approved_at=Now(),
        )  # fmt: skip


def schedule(
    weight_set_id: int, *, at: datetime, now: datetime, by: Actor, reason: str, shown: Shown | None = None
) -> None:
    """Schedule the set to be activated at a moment. Raise InvalidError where the moment has passed."""
    if at <= now:
        raise InvalidError("That moment has passed: choose a later one, or activate the set now.", attr="at")
    with transaction.atomic():
        weight_set = claim_set(
            weight_set_id, allowed=(*before_activation(), WeightSetState.SCHEDULED), reason=reason, by=by, shown=shown
        )
        check_numbers(weight_set)
        moment = f"For {at:%Y-%m-%d %H:%M} UTC. {reason}"
        move(
            weight_set, WeightSetState.SCHEDULED, action=Action.SCHEDULED, by=by, reason=moment,
            activate_at=at, **approval(weight_set, by=by),
        )  # fmt: skip


def unschedule(weight_set_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> None:
    """Cancel the schedule of a set; it stays approved."""
    with transaction.atomic():
        weight_set = claim_set(weight_set_id, allowed=(WeightSetState.SCHEDULED,), reason=reason, by=by, shown=shown)
        move(weight_set, WeightSetState.APPROVED, action=Action.UNSCHEDULED, by=by, reason=reason)


def activate(weight_set_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> Run:
    """Make the set the active one, which never changes again, and start the run that re-scores every customer.

    Raises ConflictError where its state does not allow it (somebody was faster), InvalidError where it can't score.
    """
    with transaction.atomic():
        weight_set = claim_set(
            weight_set_id, allowed=(*before_activation(), WeightSetState.SCHEDULED), reason=reason, by=by, shown=shown
        )
        check_numbers(weight_set)
        return make_active(weight_set, by=by, reason=reason)


def start_shadow(weight_set_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> None:
    """Score the set beside the active one until `end_shadow`, a change or its activation. Readers see nothing of it."""
    with transaction.atomic():
        weight_set = claim_set(weight_set_id, allowed=UNDER_WAY, reason=reason, by=by, shown=shown)
        if weight_set.shadow_since is not None:
            raise ConflictError(f"{weight_set} runs in shadow already{last_step(weight_set)}.")
        WeightSet.objects.filter(pk=weight_set.pk).update(shadow_since=Now())
        weight_set.shadow_days.all().delete()
        record(weight_set, action=Action.SHADOWED, by=by, reason=reason)


def end_shadow(weight_set_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> None:
    """End the shadow; the figures of its days stay."""
    with transaction.atomic():
        weight_set = claim_set(weight_set_id, allowed=UNDER_WAY, reason=reason, by=by, shown=shown)
        if weight_set.shadow_since is None:
            raise ConflictError(f"{weight_set} does not run in shadow by now{last_step(weight_set)}.")
        WeightSet.objects.filter(pk=weight_set.pk).update(shadow_since=None)
        record(weight_set, action=Action.UNSHADOWED, by=by, reason=reason)


def activate_due(*, now: datetime) -> list[Run]:
    """Activate the scheduled sets whose moment has come, in that order. Return their runs."""
    due = WeightSet.objects.filter(state=WeightSetState.SCHEDULED, activate_at__lte=now).order_by("activate_at", "pk")
    return [run for pk in list(due.values_list("pk", flat=True)) if (run := activate_if_due(pk, now=now))]


def activate_if_due(weight_set_id: int, *, now: datetime) -> Run | None:
    """Activate one scheduled set. Return None where somebody was faster or changed the moment."""
    with transaction.atomic():
        weight_set = claim_set_in_any_state(weight_set_id)
        moment = weight_set.activate_at
        if weight_set.state != WeightSetState.SCHEDULED or moment is None or moment > now:
            return None
        scheduled = weight_set.steps.filter(action=Action.SCHEDULED).select_related("by").last()
        reason = "Its scheduled moment has come."
        return make_active(weight_set, by=scheduled.by if scheduled else None, reason=reason)


def roll_back(weight_set_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> Run:
    """Create a set with the numbers of an earlier active one, and activate it at once.

    The formulas get the same doubles, so customers get the same scores as before. No second person has to approve, as
    these numbers have been active. Raises ConflictError for a set that was not.
    """
    with transaction.atomic():
        earlier = claim_set(weight_set_id, allowed=(WeightSetState.SUPERSEDED,), reason=reason, by=by, shown=shown)
        weight_set = draft_weight_set(
            version=earlier.version.number, name=f"Back to {earlier.name}"[:128], reason=reason,
            numbers=as_weights(earlier), by=by, origin=Origin.ROLLBACK,
        )  # fmt: skip
        return make_active(weight_set, by=by, reason=f"Rolled back to {earlier}. {reason}")


# --- Steps of a version that change its sets. Their callers hold the lock of all versions ---------------------------


def copy_to_version(weights: WeightSet, *, version: FeatureVersion, by: Actor, reason: str) -> WeightSet:
    """Copy an active set to a version, as its own and active. Return the copy.

    No run is started: the run that computes a version's first values takes these weights. No second person has to
    approve, as the numbers are active.
    """
    why = f"The weights of {weights.version}, {weights}, for {version}. {reason}"
    own = draft_weight_set(version=version.number, name=weights.name, reason=why, numbers=as_weights(weights), by=by)
    swap_active(own, by=by, reason=why)
    return own


def hand_on(before: FeatureVersion, *, to: FeatureVersion, carry: bool | None, by: Actor, reason: str) -> Run | None:
    """Hand the sets of the version that was live to the one that goes live.

    Sets that were never active move, with their history. The active numbers are copied where `carry` says so; None:
    where they were activated later than those that the version has. Return the run that scores everybody with them;
    None where the version keeps its own, and where they are the same.
    """
    for weight_set in before.weight_sets.filter(activated_at__isnull=True).order_by("pk"):
        WeightSet.objects.filter(pk=weight_set.pk).update(version=to)
        record(weight_set, action=Action.CARRIED, by=by, reason=f"From {before} to {to}, which goes live. {reason}")
    theirs, own = active_set(before.number), active_set(to.number)
    if as_weights(theirs) == as_weights(own) or not (are_newer(theirs, than=own) if carry is None else carry):
        return None
    return begin_rescore(copy_to_version(theirs, version=to, by=by, reason=reason))


def are_newer(weights: WeightSet, *, than: WeightSet) -> bool:
    """Return whether the weights were activated after the others; both are or were active."""
    assert weights.activated_at is not None
    assert than.activated_at is not None
    return weights.activated_at > than.activated_at


def retire_sets(version: FeatureVersion, *, by: Actor, reason: str) -> None:
    """Supersede a retired version's active set by none, and make those on their way to be active drafts again."""
    why = f"{version} is retired. {reason}"
    states = (WeightSetState.ACTIVE, *UNDER_WAY)
    for weight_set in version.weight_sets.filter(state__in=states).order_by("pk"):
        if weight_set.state == WeightSetState.ACTIVE:
            move(weight_set, WeightSetState.SUPERSEDED, action=Action.SUPERSEDED, by=by, reason=why)
        else:
            move(weight_set, WeightSetState.DRAFT, action=Action.SENT_BACK, by=by, reason=why)


# --- Parts of the steps -----------------------------------------------------------------------------------------


def add_weights(weight_set: WeightSet, *, numbers: Weights) -> None:
    """Give a set a row for each event type, also for those that `numbers` say nothing of."""
    Weight.objects.bulk_create(
        Weight(weight_set=weight_set, event_type=name, weight=numbers.weight_of(name), norm=numbers.norm_of(name))
        for name in dict.fromkeys([*numbers.weight, *weighed_types(numbers)])
    )


def make_active(weight_set: WeightSet, *, by: Actor, reason: str) -> Run:
    """Make the set the active one under the lock of all versions; re-scoring starts with the commit."""
    swap_active(weight_set, by=by, reason=reason)
    return begin_rescore(weight_set)


def begin_rescore(weight_set: WeightSet) -> Run:
    """Create the run that scores everybody with a set that has become active; a worker takes it up after the commit."""
    run = Run.objects.create(
        kind=Run.Kind.RESCORE,
        weight_set=weight_set,
        total=Customer.objects.filter(weight_set__isnull=False).count(),
    )
    transaction.on_commit(partial(enqueue_run, run))
    return run


def swap_active(weight_set: WeightSet, *, by: Actor, reason: str) -> None:
    """Make the set its version's active one, under the lock of all versions."""
    before = WeightSet.objects.filter(version=weight_set.version, state=WeightSetState.ACTIVE).first()
    if before is not None:
        move(before, WeightSetState.SUPERSEDED, action=Action.SUPERSEDED, by=by, reason=f"By {weight_set}")
    move(
        weight_set, WeightSetState.ACTIVE, action=Action.ACTIVATED, by=by, reason=reason,
        activated_by=by, activated_at=Now(), **approval(weight_set, by=by),
    )  # fmt: skip


def approval(weight_set: WeightSet, *, by: Actor) -> dict[str, object]:
    """Return the fields that approve a set by whoever activates or schedules it; none where it is approved already."""
    return {} if weight_set.approved_at is not None else {"approved_by": by, "approved_at": Now()}


def before_activation() -> tuple[str, ...]:
    """Return the states that a set can be activated or scheduled from, under the approval setting."""
    if settings.TWO_PERSON_APPROVAL:
        return (WeightSetState.APPROVED,)
    return (WeightSetState.DRAFT, WeightSetState.PROPOSED, WeightSetState.APPROVED)


def check_is_no_author(weight_set: WeightSet, *, by: Actor) -> None:
    """Raise ConflictError for an author of the set, where approval takes a second person."""
    if settings.TWO_PERSON_APPROVAL and weight_set.steps.filter(action__in=AUTHORING, by=by).exists():
        raise ConflictError("You wrote or changed these weights: somebody else has to approve them.")


def check_numbers(weight_set: WeightSet) -> None:
    """Raise InvalidError for a set that can't score."""
    numbers = as_weights(weight_set)
    if not any(numbers.weight.values()):
        raise InvalidError(f"All weights of {weight_set} are zero: every customer would score 0.")
