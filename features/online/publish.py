"""Publish from the offline store to the online store: the rows that PostgreSQL says are the newest.

A process that has just appended some of them has their contents in memory, and takes those.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from django.conf import settings

from featurehub.lib.clock import microseconds
from features.formulas.decay import decayed_values
from features.formulas.values import Columns, column, derived_values
from features.formulas.view import FeatureView
from features.models import Customer, FeatureType
from features.offline import history
from features.offline.columns import decay_snapshot_of
from features.offline.history import NO_CONTENTS, Latest, RowContents
from features.online.decay_snapshots import decay_snapshot_texts
from features.online.layout import suffix_of
from features.online.store import Hash, Published, erase_hashes, write_hashes
from features.registry import weight_sets
from features.registry.contents import Registry
from features.registry.snapshot import registry_snapshot

PUBLISHED_PER_CHUNK = 1_000
# The values of a version, by customer.
ByCustomer: TypeAlias = Mapping[str, Published]


def publish(customer_ids: Sequence[str], *, contents: RowContents = NO_CONTENTS) -> None:
    """Publish the customers' values of every readable version, and renew their TTL; newer values in Redis stay.

    `contents` are those of rows that the caller has appended. Raises redis' ConnectionError or TimeoutError where it is
    away.
    """
    if customer_ids:
        write_hashes(current_values(customer_ids, contents=contents))


def unpublish(customer_ids: Collection[str]) -> int:
    """Delete the hashes of erased customers for good. Return the number of keys. Raises as `publish` does.

    PostgreSQL has none of their rows by now. Who has read them before, and publishes them later, is refused by Redis.
    """
    return erase_hashes(customer_ids, last_row=history.next_row_id()) if customer_ids else 0


def publish_everybody(*, progress: Callable[[int], object] = lambda done: None) -> int:
    """Publish every known customer, in chunks by id. Return their number; call `progress` with that of each chunk.

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


def current_values(customer_ids: Sequence[str], *, contents: RowContents = NO_CONTENTS) -> dict[Hash, list[Published]]:
    """Return what each customer's hashes are to hold, also where there are no values. One query.

    The hashes of versions that are not live come first. So, after a switch, the version that was live has a hash of its
    own before the live hash is overwritten.
    """
    known = registry_snapshot.get()
    values = values_of_views(customer_ids, contents=contents)
    nothing = {view: absent(view) for view in values}
    others = [view for view in values if not known.is_live(view)]
    live = [view for view in values if known.is_live(view)]
    hashes = {
        Hash(customer_id, suffix_of(*view.key)): [values[view].get(customer_id, nothing[view])]
        for view in others
        for customer_id in customer_ids
    }
    for customer_id in customer_ids:
        hashes[Hash(customer_id)] = [values[view].get(customer_id, nothing[view]) for view in live]
    return hashes


def values_of_views(
    customer_ids: Sequence[str], *, contents: RowContents = NO_CONTENTS
) -> dict[FeatureView, ByCustomer]:
    """Return the newest values of every readable version, of the customers that have any. One query.

    Those of a derived version that is put aside are its newest rows.
    """
    known = registry_snapshot.get()
    stored = [view for view in known.views.values() if view not in known.derived]
    rows: defaultdict[tuple[str, str], list[Latest]] = defaultdict(list)
    for row in history.latest(customer_ids, versions=[view.key for view in stored], contents=contents):
        rows[row.feature_type, row.version].append(row)
    values: dict[FeatureView, ByCustomer] = {}
    for view in stored:
        held = rows[view.key]
        is_computed = view.feature_type == FeatureType.BEHAVIORAL
        values[view] = as_computed(held, view=view, known=known) if is_computed else as_written(held)
    for view in known.derived:
        values[view] = as_derived(view, inputs={row: values[row] for row in known.inputs(view)})
    return {view: naming_what_is_absent(view, parts, known=known) for view, parts in values.items()}


def naming_what_is_absent(view: FeatureView, parts: ByCustomer, *, known: Registry) -> ByCustomer:
    """Return the entries with the names that Redis may hold of older values and that they do not have.

    For a TTL after a switch, those may be values of another version.
    """
    has_switched = known.is_live(view) and view.feature_type in known.switched
    names = frozenset((*view.names, *known.left_out(view)) if has_switched else view.names)
    without = (sorted(names.difference(part.features)) for part in parts.values())
    return {
        customer_id: part._replace(without=absent_names) if absent_names else part
        for (customer_id, part), absent_names in zip(parts.items(), without, strict=True)
    }


def absent(view: FeatureView) -> Published:
    """Return the entry of a customer that has no values of a version."""
    return Published(feature_type=view.feature_type, version=None, as_of_us=None, sequence=0, features={}, metadata={})


def as_written(rows: Iterable[Latest]) -> ByCustomer:
    """Return the entries of rows as they are: what clients wrote, and derived values that are not computed now."""
    return {row.customer_id: as_stored(row, as_of_us=row.since_us) for row in rows}


def as_computed(rows: Sequence[Latest], *, view: FeatureView, known: Registry) -> ByCustomer:
    """Return the entries of a behavioral version's rows, decayed to the moments up to which they are known to hold.

    Those of a version that is put aside are not known to hold longer than until then, or than at their own moment where
    they are newer: the version is taken up.
    """
    snapshot = decay_snapshot_of(rows, view=view, inputs=known.read_by_derived(view))
    until_us = np.array([row.confirmed_us for row in rows], dtype=np.int64)
    if view.key in known.put_aside:
        until_us = np.minimum(until_us, microseconds(known.put_aside[view.key]))
        until_us = np.maximum(until_us, snapshot.since_us)
    values = decayed_values(snapshot, view=view, until_us=until_us, window_days=settings.WINDOW_DAYS)
    texts = decay_snapshot_texts(snapshot, (row.computation_us for row in rows))
    columns = (column.tolist() for column in values.values())
    return {
        row.customer_id: as_stored(
            row,
            as_of_us=as_of_us,
            features={**row.features, **dict(zip(values, of_row, strict=True))},
            metadata=with_weight_set(row),
            decay_snapshot=text,
        )
        for row, as_of_us, text, *of_row in zip(rows, until_us.tolist(), texts, *columns, strict=True)
    }


def with_weight_set(row: Latest) -> dict[str, Any]:
    """Return the row's metadata with the weight set under which the last computation found the same values."""
    if row.weight_set_id is None:
        return row.metadata
    return {**row.metadata, "weight_set": weight_sets.set_active_at(row.version, at=row.weight_set_id)}


def as_stored(row: Latest, *, as_of_us: int, **changed: Any) -> Published:
    """Return the entry of a row, with the `changed` fields replaced."""
    return Published(
        feature_type=row.feature_type,
        version=row.version,
        as_of_us=as_of_us,
        sequence=row.id,
        **{"features": row.features, "metadata": row.metadata, **changed},
    )


def as_derived(view: FeatureView, *, inputs: Mapping[FeatureView, ByCustomer]) -> ByCustomer:
    """Return the entries of a derived version, of everybody who has an input; there may be no value that it gives.

    Their as_of is that of the computed values that they come from, or else that of the newest written ones.
    """
    columns = []
    for row, held in inputs.items():
        rows = [part.features for part in held.values()]
        read = view.reads.intersection(row.names)
        columns.append(Columns(list(held), {name: column(rows, name) for name in read}))
    values = derived_values(view, columns)
    published = {}
    for customer_id, features in zip(values.customer_ids, values.rows(), strict=True):
        parts = [held[customer_id] for held in inputs.values() if customer_id in held]
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
    """Return the moment at which values derived from these hold."""
    computed = [part.as_of_us for part in parts if part.feature_type == FeatureType.BEHAVIORAL]
    if computed:
        return computed[0]
    return max((part.as_of_us for part in parts if part.as_of_us is not None), default=None)
