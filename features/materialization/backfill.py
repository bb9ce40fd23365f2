"""Backfill the history of one version: everybody's values on each day of a range, the first day first.

An engine aggregates the events up to a day into a table, and workers append from it in chunks, as in a recomputation.
Nothing is published, as the customers have newer values. A worker that dies has changed nothing of its chunk.
"""

from collections.abc import Mapping, Sequence

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F
from django.db.models.functions import Now

from featurehub.lib.errors import ConflictError
from features.engines import postgres
from features.formulas.activity import NEVER, Activity
from features.formulas.values import behavioral_values, first_departure_us
from features.formulas.view import FeatureView
from features.formulas.windowed import WindowedFeature
from features.materialization import runs
from features.materialization.compute import Appended, append_behavioral, append_derived, by_view
from features.materialization.computed_ranges import moments_of
from features.materialization.isolation import VersionFailedError, computing, is_passing
from features.materialization.locks import lock_customers
from features.materialization.recompute import divide, drop_table, give_up, read_chunk, table_of
from features.models import ComputedRange, FeatureType, Run, WeightSet
from features.offline import history
from features.registry import weight_sets
from features.registry.contents import Registry
from features.registry.snapshot import registry_snapshot


def backfill_next(run: Run) -> int:
    """Do the next chunk of the run's day, or begin the next day. Return 1; 0 where others do the rest, or it is done.

    Raises ConflictError, after marking the run as failed, where the version is not computed any more, and the error of
    a version that can't be computed. The range then stays one that is not computed.
    """
    run.refresh_from_db()
    try:
        known = registry_snapshot.get(younger_than=0)
        view = view_of(run, known=known)
        return load_chunk_of_day(run, view=view, known=known) or begin_next_day(run, view=view, known=known)
    except (ConflictError, VersionFailedError, DatabaseError) as error:
        if not is_passing(error):
            give_up(run, because=str(error))
        raise


def view_of(run: Run, *, known: Registry) -> FeatureView:
    """Return the run's version as it is computed. Raise ConflictError where it is not."""
    assert run.version is not None
    computed = {view.key: view for view in (*known.behavioral, *known.derived)}
    view = computed.get((run.version.feature_type, run.version.number))
    if view is None:
        raise ConflictError(f"{run.version} is not computed any more, so its past is not, either.")
    return view


# --- A day ------------------------------------------------------------------------------------------------------------


def begin_next_day(run: Run, *, view: FeatureView, known: Registry) -> int:
    """Aggregate the events of everybody up to the next day. Return 1; 0 where the last day is done, or not yet.

    It is one transaction, so a worker that dies leaves all of it to the next one. The run's row is locked meanwhile, so
    that nobody else begins the day.
    """
    with transaction.atomic():
        held = Run.objects.select_for_update().get(pk=run.pk)
        if held.chunks.exists() or held.as_of != run.as_of or held.state != Run.State.RUNNING:
            return 0
        drop_table(run)
        span = ComputedRange.objects.get(run=run)
        days = [moment for moment in moments_of(span) if held.as_of is None or moment > held.as_of]
        if not days:
            finish(run)
            return 0
        features = windows_of(view, known=known)
        postgres.aggregate_into(table_of(run), as_of=days[0], window_days=settings.WINDOW_DAYS, features=features)
        rows = divide(run)
        total = F("done") + rows * len(days)
        Run.objects.filter(pk=run.pk).update(as_of=days[0], total=total, updated_at=Now())
    return 1


def finish(run: Run) -> None:
    """End the run: from now on, reads have the rows of its range."""
    runs.finish_run(run)
    ComputedRange.objects.filter(run=run).update(recorded_at=Now())


def behavioral_of(view: FeatureView, *, known: Registry) -> list[FeatureView]:
    """Return the behavioral versions that a version is computed from: itself, its inputs, or the live one."""
    if view.feature_type == FeatureType.BEHAVIORAL:
        return [view]
    inputs = [row for row in known.inputs(view) if row.feature_type == FeatureType.BEHAVIORAL]
    return inputs or [known.live_view(FeatureType.BEHAVIORAL)]


def windows_of(view: FeatureView, *, known: Registry) -> tuple[WindowedFeature, ...]:
    """Return the windowed features that a version is computed from."""
    return tuple(feature for row in behavioral_of(view, known=known) for feature in row.windowed.values())


# --- A chunk ----------------------------------------------------------------------------------------------------------


def load_chunk_of_day(run: Run, *, view: FeatureView, known: Registry) -> int:
    """Append the values of the next chunk's customers on the run's day. Return 1, or 0 where no chunk is due."""
    with transaction.atomic():
        chunk = runs.claim_chunk(run)
        if chunk is None:
            return 0
        activity = read_chunk(run, number=chunk.number)
        there = activity.of(lock_customers(activity.customer_ids))
        past = there.of(customers_with_a_past(there, run=run, view=view, known=known))
        if past.customer_ids:
            with computing(view):
                append_past(past, run=run, view=view, known=known)
        # In the same transaction: there is nothing to publish after it.
        runs.settle_chunk(chunk, done=len(activity.customer_ids))
    return 1


def customers_with_a_past(activity: Activity, *, run: Run, view: FeatureView, known: Registry) -> set[str]:
    """Return the customers that were known on the run's day: by an event in a window, or by a row of any version.

    Customers that the first computation has not reached are left out: their newest row would be one of the past.
    """
    features = windows_of(view, known=known)
    leaving = first_departure_us(activity, features=features, window_days=settings.WINDOW_DAYS)
    active = {customer_id for customer_id, at in zip(activity.customer_ids, leaving, strict=True) if at != NEVER}
    numbers = [row.number for row in known.views.values() if row.feature_type == view.feature_type]
    ids, feature_type = activity.customer_ids, view.feature_type
    earlier = history.customers_with_rows(ids, feature_type=feature_type, numbers=numbers, as_of=run.as_of)
    return (active | earlier) & history.customers_with_rows(ids, feature_type=feature_type, numbers=[view.number])


def append_past(activity: Activity, *, run: Run, view: FeatureView, known: Registry) -> None:
    """Append the version's values on the run's day, under the weights that are active now."""
    assert run.as_of is not None
    active = weight_sets.active_sets()
    if view.feature_type == FeatureType.BEHAVIORAL:
        rows = history.latest(activity.customer_ids, versions=[view.key], as_of=run.as_of)
        weight_set = weight_sets.set_of_version(view.number, active=active)
        append_behavioral(
            view, activity, weight_set=weight_set, as_of=run.as_of, is_late=True, held=by_view(rows, known=known),
            anew=False,
        )  # fmt: skip
        return
    written = [row.key for row in known.inputs(view) if row.feature_type != FeatureType.BEHAVIORAL]
    rows = history.latest(activity.customer_ids, versions=[view.key, *written], as_of=run.as_of)
    append_derived(
        view, appended=as_appended(activity, run=run, view=view, known=known, active=active), as_of=run.as_of,
        known=known, is_late=True, held=by_view(rows, known=known), anew=False,
    )  # fmt: skip


def as_appended(
    activity: Activity,
    *,
    run: Run,
    view: FeatureView,
    known: Registry,
    active: Mapping[str, WeightSet],
) -> dict[FeatureView, Appended]:
    """Return the values that a derived version's inputs had on the run's day, as if they were all new."""
    assert run.as_of is not None
    inputs: dict[FeatureView, Appended] = {}
    everybody: Sequence[str] = activity.customer_ids
    for row in behavioral_of(view, known=known):
        weights = weight_sets.as_weights(weight_sets.set_of_version(row.number, active=active))
        values = behavioral_values(row, activity, weights=weights, as_of=run.as_of, window_days=settings.WINDOW_DAYS)
        inputs[row] = Appended(values=values, rows=dict.fromkeys(everybody, 0))
    return inputs
