"""From history to the online store: what is published is what PostgreSQL holds, never what a process has in memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, TypeAlias

import numpy as np
from django.conf import settings

from features.formulas.decay import DecaySnapshot, decayed_values
from features.formulas.values import Columns, column, derived_values
from features.formulas.view import FeatureView
from features.models import Customer, FeatureType
from features.offline import history
from features.offline.columns import decay_snapshot_of
from features.offline.history import Latest
from features.online import store
from features.online.layout import suffix_of
from features.online.store import Hash, Published
from features.registry import weight_sets
from features.registry.contents import Registry
from features.registry.snapshot import registry_snapshot

PUBLISHED_PER_CHUNK = 1_000
# The values of a version, by customer.
ByCustomer: TypeAlias = Mapping[str, Published]


def publish(customer_ids: Sequence[str]) -> None:
    """Publishes the values of these customers, of every readable version, and renews their TTL. Older values never
    replace newer ones.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    if customer_ids:
        store.write_hashes(current_values(customer_ids))


def publish_everybody(*, progress: Callable[[int], object] = lambda done: None) -> int:
    """Publishes every known customer, in chunks by id. Returns how many; `progress` is told how many a chunk had.

    Raises as `publish` does.
    """
    published, last = 0, ""
    following = Customer.objects.order_by("pk").values_list("pk", flat=True)
    while chunk := list(following.filter(pk__gt=last)[:PUBLISHED_PER_CHUNK]):
        publish(chunk)
        progress(len(chunk))
        published += len(chunk)
        last = chunk[-1]
    return published


def current_values(customer_ids: Sequence[str]) -> dict[Hash, list[Published]]:
    """What is to be held of each customer, also where there is nothing: the values of each other version in a hash of
    its own, and those of the live versions in one. One query.

    The hashes of other versions come first: what was live until now is there before the live hash has something else.
    """
    known = registry_snapshot.get()
    values = values_of_views(customer_ids)
    others = [view for view in values if not known.is_live(view)]
    live = [view for view in values if known.is_live(view)]
    hashes = {
        Hash(customer_id, suffix_of(*view.key)): [values[view].get(customer_id) or absent(view)]
        for view in others
        for customer_id in customer_ids
    }
    left_out = {view: known.left_out(view) if view.feature_type in known.switched else () for view in live}
    for customer_id in customer_ids:
        held = [(view, values[view].get(customer_id) or absent(view)) for view in live]
        hashes[Hash(customer_id)] = [
            replace(part, left_out=left_out[view]) if left_out[view] else part for view, part in held
        ]
    return hashes


def values_of_views(customer_ids: Sequence[str]) -> dict[FeatureView, ByCustomer]:
    """The newest values of the customers that have any, of every readable version. One query."""
    known = registry_snapshot.get()
    stored = [view for view in known.views.values() if view.feature_type != FeatureType.DERIVED]
    rows = history.latest(customer_ids, versions=[view.key for view in stored])
    values: dict[FeatureView, ByCustomer] = {}
    for view in stored:
        held = [row for row in rows if (row.feature_type, row.version) == view.key]
        is_computed = view.feature_type == FeatureType.BEHAVIORAL
        values[view] = as_computed(held, view=view, known=known) if is_computed else as_written(held)
    for view in known.derived:
        values[view] = as_derived(view, inputs={row: values[row] for row in known.inputs(view)})
    return values


def absent(view: FeatureView) -> Published:
    """The entry of a customer that has no values of a version."""
    return Published(feature_type=view.feature_type, version=None, as_of_us=None, sequence=0, features={}, metadata={})


def as_written(rows: Iterable[Latest]) -> ByCustomer:
    """What clients wrote."""
    return {row.customer_id: as_stored(row, as_of_us=row.since_us) for row in rows}


def as_computed(rows: Sequence[Latest], *, view: FeatureView, known: Registry) -> ByCustomer:
    """A behavioral version's rows at the moments up to which they are known to hold: only time has moved them since
    they were appended."""
    base = decay_snapshot_of(rows, view=view, inputs=known.read_by_derived(view))
    values = decayed_values(
        base,
        view=view,
        until_us=np.array([row.confirmed_us for row in rows], dtype=np.int64),
        window_days=settings.WINDOW_DAYS,
    )
    columns = (column.tolist() for column in values.values())
    return {
        row.customer_id: as_stored(
            row,
            as_of_us=row.confirmed_us,
            features={**row.features, **dict(zip(values, of_row, strict=True))},
            metadata=with_weight_set(row),
            base=start,
        )
        for row, start, *of_row in zip(
            rows, decay_snapshots(base, (row.computation_us for row in rows)), *columns, strict=True
        )
    }


def decay_snapshots(base: DecaySnapshot, computations: Iterable[int | None]) -> Iterable[tuple[float | None, ...]]:
    """What the hash of each row, found by these computations, is renewed from: see `movement`."""
    columns = (base.row_ids, base.since_us, base.last_purchase_us, *base.decaying.values(), *base.inputs.values())
    layouts = repeat(base.layout, len(base.row_ids))
    return zip(computations, layouts, *(column.tolist() for column in columns), strict=True)


def with_weight_set(row: Latest) -> dict[str, Any]:
    """The row's metadata, with the set under which the last computation found the same values."""
    if row.weight_set_id is None:
        return row.metadata
    return {**row.metadata, "weight_set": weight_sets.in_force(row.version, at=row.weight_set_id)}


def as_stored(row: Latest, *, as_of_us: int, **changed: Any) -> Published:
    """A row's values, with the features or the metadata `changed`."""
    return Published(
        feature_type=row.feature_type,
        version=row.version,
        as_of_us=as_of_us,
        sequence=row.id,
        **{"features": row.features, "metadata": row.metadata, **changed},
    )


def as_derived(view: FeatureView, *, inputs: Mapping[FeatureView, ByCustomer]) -> ByCustomer:
    """A derived version's values, as new as the computed ones they come from, or else as the newest written ones."""
    columns = [
        Columns(list(held), {name: column([part.features for part in held.values()], name) for name in row.names})
        for row, held in inputs.items()
    ]
    values = derived_values(view, columns)
    published = {}
    for customer_id, features in zip(values.customer_ids, values.rows(), strict=True):
        parts = [held[customer_id] for held in inputs.values() if customer_id in held]
        if features:
            published[customer_id] = Published(
                feature_type=view.feature_type,
                version=view.number,
                as_of_us=as_of_derived(parts),
                sequence=max(part.sequence for part in parts),
                features=features,
                metadata={},
            )
    return published


def as_of_derived(parts: Sequence[Published]) -> int | None:
    """The moment at which values derived from these hold."""
    computed = [part.as_of_us for part in parts if part.feature_type == FeatureType.BEHAVIORAL]
    return (
        computed[0] if computed else max((part.as_of_us for part in parts if part.as_of_us is not None), default=None)
    )
