"""Compare customers in Redis and in the history with the values that the history and the events give, at one moment.

1. `served_columns`: Redis against the newest rows of the history, decayed to the moment in the hash's own stamp. So a
   renewal that is under way makes no difference.
2. `decay_columns`: the decay snapshots, from which renewals compute, against the same rows.
3. `history_columns`: the newest rows, decayed to now, against what the events give now.

A hash that is not there is no error: PostgreSQL answers in its place. Neither is a version that is put aside.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from django.conf import settings

from featurehub.lib.clock import microseconds
from features.formulas.activity import MICROSECONDS_PER_SECOND, NEVER, Activity, Bools, Floats, Ints
from features.formulas.behavioral import recency_score
from features.formulas.decay import RECENCY, decayed_values
from features.formulas.values import behavioral_values, column, evaluate_view
from features.formulas.view import FeatureView
from features.models import FeatureType
from features.monitoring.compared import Against, ComparedColumn
from features.monitoring.material import Material, Rows, StoredRows
from features.offline.columns import decay_snapshot_of
from features.offline.history import Latest
from features.online.decay_snapshots import parse_decay_snapshots
from features.online.publish import with_weight_set
from features.registry import weight_sets


def compared_columns(material: Material) -> list[ComparedColumn]:
    """Return all three comparisons of these customers."""
    columns: list[ComparedColumn] = []
    for view in material.rows:
        columns += served_columns(view, material)
        if view.feature_type == FeatureType.BEHAVIORAL:
            columns += decay_columns(view, material)
        if view.feature_type in (FeatureType.BEHAVIORAL, FeatureType.DERIVED):
            columns += history_columns(view, material)
    return columns


# --- Values that the history gives at a moment ------------------------------------------------------------------------


def values_at(view: FeatureView, material: StoredRows, *, until_us: Ints) -> dict[str, Floats]:
    """Return a version's values from the history, each customer's at a moment of its own, not before the rows'."""
    if view.feature_type == FeatureType.DERIVED:
        return derived_at(view, material, until_us=until_us)
    rows = material.rows[view]
    values = {name: rows.spread(column([row.features for row in rows.rows], name)) for name in view.names}
    if view.feature_type == FeatureType.BEHAVIORAL:
        moments = np.maximum(until_us[rows.places], rows.since_us())
        decayed = decayed_values(
            decay_snapshot_of(rows.rows, view=view), view=view, until_us=moments, window_days=settings.WINDOW_DAYS
        )
        values |= {name: rows.spread(moved) for name, moved in decayed.items()}
    return values


def derived_at(view: FeatureView, material: StoredRows, *, until_us: Ints) -> dict[str, Floats]:
    """Return a derived version's values, computed from the history of what it is derived from."""
    n = len(material.customer_ids)
    read = {name: np.full(n, np.nan) for name in view.reads}
    has_input = np.zeros(n, dtype=bool)
    for row in material.known.inputs(view):
        values = values_at(row, material, until_us=until_us)
        read |= {name: values[name] for name in view.reads.intersection(row.names)}
        has_input |= material.rows[row].has_row()
    values = evaluate_view(view, read, rows=n)
    return {name: np.where(has_input, values[name], np.nan) for name in view.names}


# --- Redis against the history ----------------------------------------------------------------------------------------


def served_columns(view: FeatureView, material: Material) -> list[ComparedColumn]:
    """Compare what Redis holds of a version with the history."""
    held, rows = material.held[view], material.rows[view]
    expected = values_at(view, material, until_us=held.moments_us)
    is_looked_at = held.is_cached.copy()
    if view.feature_type in material.known.switched:
        # Readers know that for a TTL after a switch the live hash may hold the version that was live before.
        is_looked_at &= ~held.is_of_another_version
    is_read = is_looked_at & (held.is_stamped | held.is_known_empty)

    def compared(name: str, found: Floats, expected: Floats, *, where: Bools) -> ComparedColumn:
        found = np.where(held.is_stamped, found, np.nan)
        return ComparedColumn(
            comparison=Against.SERVED, view=view, name=name, found=found, expected=expected, is_compared=where
        )

    row_ids = expected_row_ids(view, material)
    columns = [compared("(history row)", held.row_ids.astype(np.float64), row_ids, where=is_looked_at)]
    columns += [compared(name, held.values[name], expected[name], where=is_read) for name in view.names]
    if view.feature_type != FeatureType.DERIVED:
        has_both = is_read & held.is_stamped & rows.has_row()
        metadata = rows.spread([float(held.metadata[place] == metadata_of(row)) for place, row in rows_with(rows)])
        columns.append(compared("(metadata)", metadata, np.ones(len(metadata)), where=has_both))
        ahead = np.maximum(held.moments_us - rows.spread([row.confirmed_us for row in rows.rows]), 0.0)
        columns.append(
            compared("(seconds ahead)", ahead / MICROSECONDS_PER_SECOND, np.zeros(len(ahead)), where=has_both)
        )
    return columns


def rows_with(rows: Rows) -> Iterator[tuple[int, Latest]]:
    """Yield each row with the place of its customer."""
    return zip(rows.places.tolist(), rows.rows, strict=True)


def metadata_of(row: Latest) -> dict[str, Any]:
    """Return the metadata that Redis is to hold of a row."""
    return with_weight_set(row) if row.feature_type == FeatureType.BEHAVIORAL else row.metadata


def expected_row_ids(view: FeatureView, material: Material) -> Floats:
    """Return the rows that stamps are to name; of a derived version the newest of those that it is derived from."""
    if view.feature_type != FeatureType.DERIVED:
        rows = material.rows[view]
        return rows.spread([row.id for row in rows.rows])
    inputs = [material.rows[row] for row in material.known.inputs(view)]
    ids = [np.nan_to_num(rows.spread([row.id for row in rows.rows]), nan=-1.0) for rows in inputs]
    newest = np.maximum.reduce(ids)
    return np.where(newest >= 0, newest, np.nan)


# --- Decay snapshots against the history ------------------------------------------------------------------------------


def decay_columns(view: FeatureView, material: Material) -> list[ComparedColumn]:
    """Compare the decay snapshots with the history, where renewals would use them: those of today's names.

    The moment of the computation is not compared: a renewal that finds another one publishes the customer as a whole.
    """
    rows, texts, inputs = material.rows[view], material.held[view].decay_snapshots, material.known.read_by_derived(view)
    expected = decay_snapshot_of(rows.rows, view=view, inputs=inputs)
    computations, found = parse_decay_snapshots(texts, view=view, inputs=inputs)
    has_row = material.held[view].is_stamped & rows.has_row()
    is_used = has_row & (computations != NEVER)
    nothing = np.zeros(len(texts))

    def compared(name: str, found: Floats, expected: Floats, *, where: Bools = is_used) -> ComparedColumn:
        return ComparedColumn(
            comparison=Against.DECAY, view=view, name=name, found=found, expected=expected, is_compared=where
        )

    def seconds_off(found: Ints, expected: Ints) -> Floats:
        off: Floats = (found - rows.spread(expected)) / MICROSECONDS_PER_SECOND
        return off

    is_there = np.array([np.nan if text is None else 1.0 for text in texts])
    values_found, values_expected = {**found.decaying, **found.inputs}, {**expected.decaying, **expected.inputs}
    return [
        compared("(decay snapshot)", is_there, np.ones(len(texts)), where=has_row),
        compared("(history row)", found.row_ids.astype(np.float64), rows.spread(expected.row_ids)),
        compared("(since, seconds off)", seconds_off(found.since_us, expected.since_us), nothing),
        compared(
            "(last purchase, seconds off)", seconds_off(found.last_purchase_us, expected.last_purchase_us), nothing
        ),
        *(compared(name, values_found[name], rows.spread(values)) for name, values in values_expected.items()),
    ]


# --- The history against the events -----------------------------------------------------------------------------------


def history_columns(view: FeatureView, material: Material) -> list[ComparedColumn]:
    """Compare a computed version's rows, decayed to now, with what the events and the active weights give now.

    A derived version's rows are compared with what follows, at their own moment, from the rows they are derived from.
    """
    rows = material.rows[view]
    is_compared = material.is_settled & (material.was_computed | material.has_events)
    if view.feature_type == FeatureType.DERIVED:
        found = {name: rows.spread(column([row.features for row in rows.rows], name)) for name in view.names}
        since = np.nan_to_num(rows.spread(rows.since_us())).astype(np.int64)
        expected = derived_at(view, material, until_us=since)
    else:
        now_us = np.full(len(material.customer_ids), microseconds(material.as_of))
        found = values_at(view, material, until_us=now_us)
        expected = values_of_events(view, material)
        if RECENCY in view.formulas:
            # It is not decayed from the stored value, so that one is compared at the row's own moment.
            found[RECENCY] = rows.spread(column([row.features for row in rows.rows], RECENCY))
            expected[RECENCY] = recency_at_rows(rows, material)
    columns = [(name, found[name], expected[name]) for name in view.names]
    if view.feature_type == FeatureType.BEHAVIORAL:
        other = rows.spread([float(count) for count in differing_activity(rows, material)])
        columns.append(("(activity, fields off)", np.nan_to_num(other), np.zeros(len(other))))
    return [
        ComparedColumn(
            comparison=Against.STORED, view=view, name=name, found=one, expected=other, is_compared=is_compared
        )
        for name, one, other in columns
    ]


def values_of_events(view: FeatureView, material: Material) -> dict[str, Floats]:
    """Return the behavioral version's values as the events give them."""
    weight_set = weight_sets.active_set(view.number)
    values = behavioral_values(
        view,
        material.activity,
        weights=weight_sets.as_weights(weight_set),
        as_of=material.as_of,
        window_days=settings.WINDOW_DAYS,
    )
    return {name: column[material.order] for name, column in values.by_name.items()}


def recency_at_rows(rows: Rows, material: Material) -> Floats:
    """Return what the events give for `recency_score` at the moments of the rows; now where there is no row."""
    moments = np.full(rows.customers, microseconds(material.as_of))
    moments[rows.places] = rows.since_us()
    last_purchase_us = material.activity.last_purchase_us[material.order]
    return recency_score(last_purchase_us, as_of_us=moments, window_days=settings.WINDOW_DAYS)


def differing_activity(rows: Rows, material: Material) -> Ints:
    """Return for each row how many of the numbers that scores are computed from differ from those of the events."""
    places = material.order[rows.places]
    held = Activity.from_records(
        [row.customer_id for row in rows.rows], [row.metadata["activity"] for row in rows.rows]
    )
    given = material.activity
    differing = np.zeros(len(places), dtype=np.int64)
    none = np.zeros(len(given.customer_ids), dtype=np.int64)
    for name in held.counts.keys() | given.counts.keys():
        differing += held.counts.get(name, 0) != given.counts.get(name, none)[places]
    differing += held.last_purchase_us != given.last_purchase_us[places]
    differing += held.purchase_amount != given.purchase_amount[places]
    return differing
