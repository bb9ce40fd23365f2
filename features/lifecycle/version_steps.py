"""The life of a version: draft → shadow → live → deprecated → retired, and from deprecated back to live.

Readers who ask for no version get another one by `go_live` only, and all of them at one moment: `live_from`, which
every process knows before it comes.
"""

from functools import partial

from django.db import transaction
from django.db.models.functions import Now

from featurehub.lib.errors import ConflictError
from features.lifecycle import weight_set_steps
from features.lifecycle.requirements import check_can_be_computed
from features.lifecycle.shown import Shown
from features.lifecycle.steps import Actor, VersionState, claim_shown_version, move, record
from features.lifecycle.uses import RETIRABLE, StillUsedError, recent_uses
from features.materialization.runs import enqueue_run
from features.models import Customer, FeatureType, FeatureVersion, Renewal, Run
from features.models.definitions import WRITTEN_BY_CLIENTS
from features.registry.snapshot import SWITCH_AFTER, load_registry
from features.registry.weight_sets import active_set


def put_into_shadow(version_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> Run | None:
    """Put a draft into shadow: it is computed beside the live version, readable on request, and no longer changes.

    Returns the run that computes all customers; None for a type that clients write. Raises ConflictError for another
    state, InvalidError where the version can't be computed.
    """
    with transaction.atomic():
        version = claim_shown_version(version_id, allowed=(VersionState.DRAFT,), reason=reason, by=by, shown=shown)
        check_can_be_computed(version, known=load_registry())
        move(version, VersionState.SHADOW, by=by, reason=reason)
        if version.feature_type == FeatureType.BEHAVIORAL:
            live = FeatureVersion.objects.get(feature_type=version.feature_type, state=VersionState.LIVE)
            weight_set_steps.copy_to_version(active_set(live.number), version=version, by=by, reason=reason)
        return None if version.feature_type in WRITTEN_BY_CLIENTS else start_computing(version)


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


def go_live(version_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> None:
    """Make a version in shadow, or a deprecated one, the default for readers, SWITCH_AFTER from now.

    Raises ConflictError for another state, and while the version's first values are being computed.
    """
    with transaction.atomic():
        version = claim_shown_version(
            version_id, allowed=(VersionState.SHADOW, VersionState.DEPRECATED), reason=reason, by=by, shown=shown
        )
        check_is_computed(version, else_say="It can go live then.")
        before = FeatureVersion.objects.get(feature_type=version.feature_type, state=VersionState.LIVE)
        move(before, VersionState.DEPRECATED, by=by, reason=f"{version} goes live. {reason}")
        # Now() is the time of this statement, after the locks: of two versions the later one has the later moment.
        move(version, VersionState.LIVE, by=by, reason=reason, live_from=Now() + SWITCH_AFTER)
        # From then on Redis gets the active customers' values of it, bucket by bucket; until a customer's turn comes,
        # PostgreSQL answers.
        Renewal.objects.update(due_at=version.live_from)


def check_is_computed(version: FeatureVersion, *, else_say: str, may_have_failed: bool = False) -> None:
    """Raise ConflictError unless the last run that was to compute all customers' values of the version is done."""
    run = version.runs.first()
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
    another is computed from, and unless `confirmed`, StillUsedError for one that was read or written lately.
    """
    with transaction.atomic():
        version = claim_shown_version(version_id, allowed=RETIRABLE, reason=reason, by=by, shown=shown)
        check_readers_are_switched(version)
        check_nothing_is_computed_from(version)
        uses = list(recent_uses(version))
        if uses and not confirmed:
            raise StillUsedError(version, uses=uses)
        move(version, VersionState.RETIRED, by=by, reason=reason)
        weight_set_steps.retire_sets(version, by=by, reason=reason)


def check_readers_are_switched(version: FeatureVersion) -> None:
    """Raise ConflictError where a process may still take the version for the live one."""
    of_type = FeatureVersion.objects.filter(feature_type=version.feature_type)
    live = of_type.filter(state=VersionState.LIVE, live_from__gt=Now()).first()
    if live is not None:
        moment = f"{live.live_from:%H:%M:%S} UTC"
        raise ConflictError(f"Readers are switched to {live} at {moment}: until then they may need {version}.")


def check_nothing_is_computed_from(version: FeatureVersion) -> None:
    """Raise ConflictError where a derived version that can be read takes values from this one."""
    known = load_registry()
    view = known.views[version.feature_type, version.number]
    users = [f"{user.feature_type}:{user.number}" for user in known.derived if view in known.inputs(user)]
    if users:
        raise ConflictError(f"{', '.join(users)} is computed from {version}: retire that first.")
