"""Publish a delta: only what a computation from stored activity has changed.

The computation knows which rows held before. Where Redis holds those rows, it gets the stamps of the rows that hold now
and the values that differ. Every other customer is published as a whole, from what PostgreSQL holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import orjson

from featurehub.lib.clock import microseconds
from features.formulas.decay import DecaySnapshot
from features.formulas.view import FeatureView
from features.materialization.compute import Appended, Recomputed
from features.offline.columns import decay_snapshot_of, stored_columns
from features.offline.history import Latest
from features.online import layout
from features.online.decay_snapshots import decay_snapshot_texts
from features.online.publish import publish
from features.online.restamp import RestampedHashes, restamp
from features.online.store import REMOVED, UNCHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDelta:
    """The change of one version: the stamps' ends before and after, and the fields that differ, as texts."""

    expected: Sequence[str]
    endings: Sequence[str]
    changed: Mapping[str, Sequence[str | bool]]


def publish_delta(customer_ids: Sequence[str], recomputed: Recomputed) -> None:
    """Publish these customers; those that are not in `recomputed` are published as a whole.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    hashes = list(restamped_hashes(recomputed))
    others = set(customer_ids).difference(hashes[0].customer_ids)
    for each in hashes:
        others.update(restamp(each, as_of_us=microseconds(recomputed.as_of)))
    publish(sorted(others))


def restamped_hashes(recomputed: Recomputed) -> Iterator[RestampedHashes]:
    """Yield every hash of the recomputed customers."""
    known = recomputed.known
    customer_ids = recomputed.appended[known.behavioral[0]].values.customer_ids
    deltas = {view: behavioral_delta(view, recomputed) for view in known.behavioral}
    deltas |= {view: derived_delta(view, recomputed) for view in known.derived_from_behavioral}
    for suffix in {layout.suffix_in(known, view) for view in known.views.values()}:
        inside = {view: each for view, each in deltas.items() if layout.suffix_in(known, view) == suffix}
        yield RestampedHashes(
            suffix=suffix,
            customer_ids=customer_ids,
            expected={layout.stamp_field(view.feature_type): each.expected for view, each in inside.items()},
            endings={layout.stamp_field(view.feature_type): each.endings for view, each in inside.items()},
            changed={name: texts for each in inside.values() for name, texts in each.changed.items()},
        )


def behavioral_delta(view: FeatureView, recomputed: Recomputed) -> VersionDelta:
    """Return the change of a behavioral version.

    Decay moves values towards zero, so a value that equals the row's has not decayed since.
    """
    held, appended = recomputed.held[view], recomputed.appended[view]
    stored = stored_columns(held, names=appended.values.by_name).by_name
    changed = {
        name: layout.chosen_texts(values, wanted=values != stored[name], otherwise=UNCHANGED)
        for name, values in appended.values.by_name.items()
    }
    metadata_field, snapshot_field = (
        layout.metadata_field(view.feature_type),
        layout.decay_snapshot_field(view.feature_type),
    )
    changed[metadata_field] = [orjson.dumps(row).decode() for row in appended.metadata]
    computations = repeat(microseconds(recomputed.as_of), len(held))
    changed[snapshot_field] = [*decay_snapshot_texts(new_decay_snapshot(view, recomputed), computations)]
    return VersionDelta(
        expected=layout.row_texts([row.id for row in held], view.number),
        endings=layout.row_texts(row_ids(held, appended), view.number),
        changed=changed,
    )


def new_decay_snapshot(view: FeatureView, recomputed: Recomputed) -> DecaySnapshot:
    """Return the decay snapshot of the behavioral rows that hold now."""
    held, appended = recomputed.held[view], recomputed.appended[view]
    before = decay_snapshot_of(held, view=view)
    is_new = np.array([row.customer_id in appended.rows for row in held])
    return DecaySnapshot(
        row_ids=np.array(row_ids(held, appended), dtype=np.int64),
        since_us=np.where(is_new, microseconds(recomputed.as_of), before.since_us),
        last_purchase_us=before.last_purchase_us,
        decaying={
            name: np.where(is_new, appended.values.by_name[name], values) for name, values in before.decaying.items()
        },
        inputs={name: appended.values.by_name[name] for name in recomputed.known.read_by_derived(view)},
    )


def derived_delta(view: FeatureView, recomputed: Recomputed) -> VersionDelta:
    """Return the change of a derived version; its stamp carries the newest row among those that it is derived from."""
    values = recomputed.appended[view].values
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for row in recomputed.known.inputs(view):
        held, appended = recomputed.held[row], recomputed.appended.get(row)
        ids = [each.id for each in held] if appended is None else row_ids(held, appended)
        for each, row_id in zip(held, ids, strict=True):
            before[each.customer_id] = max(each.id, before.get(each.customer_id, 0))
            after[each.customer_id] = max(row_id, after.get(each.customer_id, 0))
    has_value = {name: column == column for name, column in values.by_name.items()}
    return VersionDelta(
        expected=layout.row_texts([before[customer_id] for customer_id in values.customer_ids], view.number),
        endings=layout.row_texts([after[customer_id] for customer_id in values.customer_ids], view.number),
        changed={
            name: layout.chosen_texts(column, wanted=has_value[name], otherwise=REMOVED)
            for name, column in values.by_name.items()
        },
    )


def row_ids(held: Sequence[Latest], appended: Appended) -> list[int]:
    """Return the ids of the rows that hold now."""
    return [appended.rows.get(row.customer_id, row.id) for row in held]
