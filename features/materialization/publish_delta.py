"""Publishing what a computation from stored activity has changed, and nothing else of the customers.

The computation knows which rows held before. Where Redis holds those, it gets the stamps of the rows that hold now and
the values in which they differ; every other customer is published as a whole, from what PostgreSQL holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import orjson

from featurehub.lib.clock import microseconds
from features.formulas.activity import Bools, Floats
from features.formulas.decay import DecaySnapshot
from features.formulas.values import column
from features.formulas.view import FeatureView
from features.materialization.compute import Appended, Recomputed
from features.offline.columns import decay_snapshot_of
from features.offline.history import Latest
from features.online import store
from features.online.decay import suffix_in
from features.online.publish import decay_snapshots, publish
from features.online.restamp import UNCHANGED, Hashes, restamp


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDelta:
    """Of one version: what its stamps end in before and after, and its fields in which the rows differ, as texts."""

    expected: Sequence[str]
    endings: Sequence[str]
    changed: Mapping[str, Sequence[str | bool]]


def publish_delta(customer_ids: Sequence[str], recomputed: Recomputed | None) -> None:
    """Publishes these customers, of whom those in `recomputed` were computed from stored activity.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    others = set(customer_ids)
    if recomputed is not None and not any(map(store.is_ambiguous, customer_ids)):
        hashes = list(hashes_of(recomputed))
        others.difference_update(hashes[0].customer_ids)
        for each in hashes:
            others.update(restamp(each, as_of_us=microseconds(recomputed.as_of)))
    publish(sorted(others))


def hashes_of(recomputed: Recomputed) -> Iterator[Hashes]:
    """Every hash of the recomputed customers."""
    known = recomputed.known
    customer_ids = recomputed.appended[known.behavioral[0]].values.customer_ids
    differences = {view: behavioral_delta(view, recomputed) for view in known.behavioral}
    differences |= {view: derived_delta(view, recomputed) for view in known.derived_from_behavioral}
    for suffix in {suffix_in(known, view) for view in known.views.values()}:
        inside = {view: each for view, each in differences.items() if suffix_in(known, view) == suffix}
        yield Hashes(
            suffix=suffix,
            customer_ids=customer_ids,
            expected={store.stamp_field(view.feature_type): each.expected for view, each in inside.items()},
            endings={store.stamp_field(view.feature_type): each.endings for view, each in inside.items()},
            changed={name: texts for each in inside.values() for name, texts in each.changed.items()},
        )


def behavioral_delta(view: FeatureView, recomputed: Recomputed) -> VersionDelta:
    """A behavioral version's. What time moves falls towards zero, so a value that is the row's was it all the time."""
    held, appended = recomputed.held[view], recomputed.appended[view]
    changed = {
        name: changed_texts(values, where=values != column([row.features for row in held], name))
        for name, values in appended.values.by_name.items()
    }
    changed[store.metadata_field(view.feature_type)] = [orjson.dumps(row).decode() for row in appended.metadata]
    base = new_decay_snapshot(view, recomputed)
    computations = repeat(microseconds(recomputed.as_of), len(held))
    changed[store.base_field(view.feature_type)] = [store.base_text(row) for row in decay_snapshots(base, computations)]
    return VersionDelta(
        expected=[store.row_text(row.id, view.number) for row in held],
        endings=[store.row_text(row_id, view.number) for row_id in row_ids(held, appended)],
        changed=changed,
    )


def new_decay_snapshot(view: FeatureView, recomputed: Recomputed) -> DecaySnapshot:
    """What time moves a behavioral version's values from: the rows that hold now."""
    held, appended = recomputed.held[view], recomputed.appended[view]
    base = decay_snapshot_of(held, view=view)
    is_news = np.array([row.customer_id in appended.rows for row in held])
    return DecaySnapshot(
        row_ids=np.array(row_ids(held, appended), dtype=np.int64),
        since_us=np.where(is_news, microseconds(recomputed.as_of), base.since_us),
        last_purchase_us=base.last_purchase_us,
        decaying={
            name: np.where(is_news, appended.values.by_name[name], values) for name, values in base.decaying.items()
        },
        inputs={name: appended.values.by_name[name] for name in recomputed.known.read_by_derived(view)},
    )


def derived_delta(view: FeatureView, recomputed: Recomputed) -> VersionDelta:
    """A derived version's. Its stamp is of the newest row of those that it is derived from."""
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
    has_any = np.logical_or.reduce(list(has_value.values())).tolist()
    return VersionDelta(
        expected=[
            store.row_text(before[customer_id], view.number) if has else ""
            for customer_id, has in zip(values.customer_ids, has_any, strict=True)
        ],
        endings=[store.row_text(after[customer_id], view.number) for customer_id in values.customer_ids],
        changed={
            name: changed_texts(column, where=has_value[name], otherwise=False)
            for name, column in values.by_name.items()
        },
    )


def row_ids(held: Sequence[Latest], appended: Appended) -> list[int]:
    """The ids of the rows that hold now."""
    return [appended.rows.get(row.customer_id, row.id) for row in held]


def changed_texts(values: Floats, *, where: Bools, otherwise: str | bool = UNCHANGED) -> list[str | bool]:
    """Decimal strings that round-trip the doubles."""
    pairs = zip(values.tolist(), where.tolist(), strict=True)
    return [repr(value) if is_wanted else otherwise for value, is_wanted in pairs]
