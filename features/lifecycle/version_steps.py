"""The life of a version: draft → shadow → live → deprecated → retired, and from deprecated back to live.

Readers who ask for no version get another one by `go_live` only, and all of them at one moment: `live_from`, which
every process knows before it comes.
"""

from datetime import date
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from featurehub.lib.errors import ConflictError
from features.lifecycle import weight_set_steps
from features.lifecycle.backfills import backfill_moment
from features.lifecycle.requirements import check_can_be_computed
from features.lifecycle.shown import Shown
from features.lifecycle.steps import Actor, VersionState, claim_shown_version, move, record
from features.lifecycle.uses import RETIRABLE, StillUsedError, pinning_sets, recent_uses
from features.materialization.computed_ranges import begin_backfill, first_computed, request_backfill
from features.materialization.locks import database_now
from features.materialization.runs import enqueue_run, switch_readers, version_read
from features.models import ComputedRange, Customer, FeatureType, FeatureVersion, Run
from features.models.definitions import WRITTEN_BY_CLIENTS
from features.registry.snapshot import load_registry
from features.registry.weight_sets import active_set


def put_into_shadow(
    version_id: int, *, by: Actor, reason: str, shown: Shown | None = None, backfill_since: date | None = None
) -> Run | None:
    """Put a draft into shadow: it is computed beside the live version, readable on request, and no longer changes.

    Returns the run that computes all customers; None for a type that clients write. With `backfill_since`, everybody's
    values on each day since then are computed after that. Raises ConflictError for another state, InvalidError where
    the version can't be computed, or its past not from that day on.
    """
    with transaction.atomic():
        version = claim_shown_version(version_id, allowed=(VersionState.DRAFT,), reason=reason, by=by, shown=shown)
        check_can_be_computed(version, known=load_registry())
        move(version, VersionState.SHADOW, by=by, reason=reason)
        if version.feature_type == FeatureType.BEHAVIORAL:
            live = FeatureVersion.objects.get(feature_type=version.feature_type, state=VersionState.LIVE)
            weight_set_steps.copy_to_version(active_set(live.number), version=version, by=by, reason=reason)
        if version.feature_type in WRITTEN_BY_CLIENTS:
            return None
        now = database_now()
        # The moment is that of the run, when it is done.
        ComputedRange.objects.create(version=version, since=now)
        if backfill_since is not None:
            request_backfill(version, since=backfill_moment(version, since=backfill_since, now=now), until=now)
        return start_computing(version)


def backfill(version_id: int, *, since: date, by: Actor, reason: str, shown: Shown | None = None) -> Run:
    """Start the run that computes everybody's values of a version on each day from `since` to its first values.

    Raises ConflictError where its first values are being computed, where it is being backfilled, and for a version
    without a beginning; InvalidError for a day that it has values of, or that no events are kept for.
    """
    computed = (VersionState.SHADOW, VersionState.LIVE, VersionState.DEPRECATED)
    with transaction.atomic():
        version = claim_shown_version(version_id, allowed=computed, reason=reason, by=by, shown=shown)
        check_is_computed(version, else_say="Its past can be computed then.")
        first = first_computed(version)
        if first is None:
            raise ConflictError(f"{version} has values from the beginning: there is no past to compute.")
        if version.runs.filter(kind=Run.Kind.BACKFILL, state=Run.State.RUNNING).exists():
            raise ConflictError(f"The past of {version} is being computed already.")
        moment = backfill_moment(version, since=since, now=first)
        record(version, by=by, reason=f"Backfilling its history from {since} on. {reason}")
        return begin_backfill(request_backfill(version, since=moment, until=first))


def compute_again(version_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> Run:
    """Start another run that computes all customers' values of a version, after one that failed.

    A version that is put aside is taken up: it is computed from now on. Its readers are told that it is put aside until
    the run has computed everybody.
    """
    computed = (VersionState.SHADOW, VersionState.LIVE, VersionState.DEPRECATED)
    with transaction.atomic():
        version = claim_shown_version(version_id, allowed=computed, reason=reason, by=by, shown=shown)
        if version.feature_type in WRITTEN_BY_CLIENTS:
            raise ConflictError(f"Clients write the values of {version}: there is nothing to compute.")
        check_is_computed(version, else_say="Nothing was changed.", may_have_failed=True)
        if version.put_aside_at is not None:
            check_can_be_computed(version, known=load_registry())
            FeatureVersion.objects.filter(pk=version.pk).update(is_taken_up=True)
        record(version, by=by, reason=f"Computing all customers again. {reason}")
        return start_computing(version)


def start_computing(version: FeatureVersion) -> Run:
    """Create the run that computes all customers from their events; a worker takes it up after the commit."""
    run = Run.objects.create(kind=Run.Kind.RECOMPUTE, version=version, total=Customer.objects.count())
    transaction.on_commit(partial(enqueue_run, run))
    return run


def go_live(
    version_id: int, *, by: Actor, reason: str, shown: Shown | None = None, carry_weights: bool | None = None
) -> Run | None:
    """Make a version in shadow, or a deprecated one, the default for readers, SWITCH_AFTER from now.

    `carry_weights`, of a behavioral version: True: it takes over the weights of the version that was live; False: it
    keeps its own; None: those that were activated last. Where it takes over others than its own, readers are switched
    when everybody is scored with them; then the run that does that is returned. Sets that were never active move to it.

    Raises ConflictError for another state, and while the version's first values are being computed.
    """
    with transaction.atomic():
        version = claim_shown_version(
            version_id, allowed=(VersionState.SHADOW, VersionState.DEPRECATED), reason=reason, by=by, shown=shown
        )
        check_is_computed(version, else_say="It can go live then.")
        before = FeatureVersion.objects.get(feature_type=version.feature_type, state=VersionState.LIVE)
        run = None
        if version.feature_type == FeatureType.BEHAVIORAL:
            run = weight_set_steps.hand_on(before, to=version, carry=carry_weights, by=by, reason=reason)
        why = f"{version} goes live. {reason}"
        # A version that readers were not switched to yet never was live for them.
        undated: dict[str, Any] = {} if before == version_read(version.feature_type) else {"live_from": None}
        move(before, VersionState.DEPRECATED, by=by, reason=why, is_awaiting_scores=False, **undated)
        move(version, VersionState.LIVE, by=by, reason=reason, is_awaiting_scores=True)
        if run is None:
            switch_readers(FeatureVersion.objects.filter(pk=version.pk))
        return run


def check_is_computed(version: FeatureVersion, *, else_say: str, may_have_failed: bool = False) -> None:
    """Raise ConflictError unless the last run that was to compute all customers' values of the version is done."""
    run = version.runs.filter(kind=Run.Kind.RECOMPUTE).first()
    if run is not None and run.state == Run.State.RUNNING:
        far = f"{run.done:,} of {run.total:,} customers are done"
        raise ConflictError(f"The values of {version} are being computed: {far}. {else_say}")
    if may_have_failed:
        return
    if version.put_aside_at is not None:
        raise ConflictError(f"{version} is put aside: {version.put_aside_because}. Compute it again first.")
    if run is not None and run.state != Run.State.DONE:
        raise ConflictError(f"Computing the values of {version} failed: {run.error} Compute them again first.")


def retire(version_id: int, *, by: Actor, reason: str, shown: Shown | None = None, confirmed: bool = False) -> None:
    """Retire a version for good: it is not computed or read any more, and has no active weights. Its history stays.

    Raises ConflictError for a live version, for one that readers have not been switched from yet and for one that
    another is computed from, and unless `confirmed`, StillUsedError for one that was read or written lately, or that
    feature sets pin.
    """
    with transaction.atomic():
        version = claim_shown_version(version_id, allowed=RETIRABLE, reason=reason, by=by, shown=shown)
        check_readers_are_switched(version)
        check_nothing_is_computed_from(version)
        uses, sets = list(recent_uses(version)), pinning_sets(version)
        if (uses or sets) and not confirmed:
            raise StillUsedError(version, uses=uses, sets=sets)
        move(version, VersionState.RETIRED, by=by, reason=reason)
        weight_set_steps.retire_sets(version, by=by, reason=reason)


def check_readers_are_switched(version: FeatureVersion) -> None:
    """Raise ConflictError where a process may still take the version for the live one."""
    of_type = FeatureVersion.objects.filter(feature_type=version.feature_type)
    live = of_type.filter(Q(live_from__gt=Now()) | Q(is_awaiting_scores=True), state=VersionState.LIVE).first()
    if live is not None:
        is_dated = live.live_from is not None and not live.is_awaiting_scores
        moment = f"{live.live_from:%H:%M:%S} UTC" if is_dated else "the end of the scoring with its weights"
        raise ConflictError(f"Readers are switched to {live} at {moment}: until then they may need {version}.")


def check_nothing_is_computed_from(version: FeatureVersion) -> None:
    """Raise ConflictError where a derived version that can be read takes values from this one."""
    known = load_registry()
    view = known.views[version.feature_type, version.number]
    users = [f"{user.feature_type}:{user.number}" for user in known.derived if view in known.inputs(user)]
    if users:
        raise ConflictError(f"{', '.join(users)} is computed from {version}: retire that first.")
