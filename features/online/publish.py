"""Publish from the offline store to the online store: the rows that PostgreSQL says are the newest.

A process that has just appended some of them has their contents in memory, and takes those.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import orjson
from django.conf import settings

from featurehub.lib.clock import microseconds
from features.formulas.activity import Ints
from features.formulas.decay import decayed_values
from features.formulas.values import Columns, derived_values
from features.formulas.view import FeatureView
from features.models import Customer, FeatureType
from features.offline import history
from features.offline.columns import decay_snapshot_of, stored_columns
from features.offline.history import NO_CONTENTS, Latest, RowContents
from features.online import layout
from features.online.decay_snapshots import decay_snapshot_texts
from features.online.store import REMOVED, UNCHANGED, PublishedHashes, PublishedVersion, erase_hashes, write_hashes
from features.registry import weight_sets
from features.registry.contents import Registry
from features.registry.snapshot import registry_snapshot

PUBLISHED_PER_CHUNK = 1_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentValues:
    """The newest values of one version, of the customers that have any.

    `as_of_us`: the moments at which they hold, in microseconds since 1970 UTC; `row_ids`: their history rows, of
    derived values the newest of the rows that they are derived from. `decay_snapshots`: the texts of `decay_snapshots`,
    of behavioral versions only.
    """

    columns: Columns
    as_of_us: Ints
    row_ids: Ints
    metadata: Sequence[Mapping[str, Any]]
    decay_snapshots: Sequence[str] = ()


def publish(customer_ids: Sequence[str], *, contents: RowContents = NO_CONTENTS) -> None:
    """Publish the customers' values of every readable version, and renew their TTL; newer values in Redis stay.

    `contents` are those of rows that the caller has appended. Raises redis' ConnectionError or TimeoutError where it is
    away.
    """
    if customer_ids:
        write_hashes(current_hashes(customer_ids, contents=contents))


def unpublish(customer_ids: Collection[str]) -> int:
    """Delete the hashes of erased customers for good. Return the number of keys. Raises as `publish` does.

    PostgreSQL has none of their rows by now. Who has read them before, and publishes them later, is refused by Redis.
    """
    return erase_hashes(customer_ids, last_row=history.reserve_rows(1).ids[0]) if customer_ids else 0


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


def current_hashes(customer_ids: Sequence[str], *, contents: RowContents = NO_CONTENTS) -> list[PublishedHashes]:
    """Return what each customer's hashes are to hold, also where there are no values. One query.

    The hashes of versions that are not live come first. So, after a switch, the version that was live has a hash of its
    own before the live hash is overwritten.
    """
    known = registry_snapshot.get()
    values = values_of_views(customer_ids, contents=contents)
    versions = {view: as_published(view, held, customer_ids=customer_ids, known=known) for view, held in values.items()}
    others = [view for view in versions if not known.is_live(view)]
    hashes = [PublishedHashes(layout.suffix_of(*view.key), customer_ids, [versions[view]]) for view in others]
    live = [version for view, version in versions.items() if known.is_live(view)]
    return [*hashes, PublishedHashes("", customer_ids, live)]


def values_of_views(
    customer_ids: Sequence[str], *, contents: RowContents = NO_CONTENTS
) -> dict[FeatureView, CurrentValues]:
    """Return the newest values of every readable version, of the customers that have any. One query.

    Those of a derived version that is put aside are its newest rows.
    """
    known = registry_snapshot.get()
    stored = [view for view in known.views.values() if view not in known.derived]
    rows: defaultdict[tuple[str, str], list[Latest]] = defaultdict(list)
    for row in history.latest(customer_ids, versions=[view.key for view in stored], contents=contents):
        rows[row.feature_type, row.version].append(row)
    values: dict[FeatureView, CurrentValues] = {}
    for view in stored:
        is_computed = view.feature_type == FeatureType.BEHAVIORAL
        held = rows[view.key]
        values[view] = as_computed(held, view=view, known=known) if is_computed else as_written(held, view=view)
    for view in known.derived:
        values[view] = as_derived(view, inputs={row: values[row] for row in known.inputs(view)})
    return values


def as_written(rows: Sequence[Latest], *, view: FeatureView) -> CurrentValues:
    """Return the values of rows as they are: what clients wrote, and derived values that are not computed now."""
    return CurrentValues(
        columns=stored_columns(rows, names=view.names),
        as_of_us=np.array([row.since_us for row in rows], dtype=np.int64),
        row_ids=np.array([row.id for row in rows], dtype=np.int64),
        metadata=[row.metadata for row in rows],
    )


def as_computed(rows: Sequence[Latest], *, view: FeatureView, known: Registry) -> CurrentValues:
    """Return the values of a behavioral version's rows, decayed to the moments up to which they are known to hold.

    Those of a version that is put aside are not known to hold longer than until then, or than at their own moment where
    they are newer: the version is taken up.
    """
    snapshot = decay_snapshot_of(rows, view=view, inputs=known.read_by_derived(view))
    until_us = np.array([row.confirmed_us for row in rows], dtype=np.int64)
    if view.key in known.put_aside:
        until_us = np.minimum(until_us, microseconds(known.put_aside[view.key]))
        until_us = np.maximum(until_us, snapshot.since_us)
    stored = stored_columns(rows, names=view.names)
    decayed = decayed_values(snapshot, view=view, until_us=until_us, window_days=settings.WINDOW_DAYS)
    return CurrentValues(
        columns=Columns(stored.customer_ids, {**stored.by_name, **decayed}),
        as_of_us=until_us,
        row_ids=snapshot.row_ids,
        metadata=[with_weight_set(row) for row in rows],
        decay_snapshots=decay_snapshot_texts(snapshot, (row.computation_us for row in rows)),
    )


def with_weight_set(row: Latest) -> dict[str, Any]:
    """Return the row's metadata with the weight set under which the last computation found the same values."""
    if row.weight_set_id is None:
        return row.metadata
    weight_set = weight_sets.set_active_at(row.version, at=row.weight_set_id)
    return row.metadata if row.metadata.get("weight_set") == weight_set else {**row.metadata, "weight_set": weight_set}


def as_derived(view: FeatureView, *, inputs: Mapping[FeatureView, CurrentValues]) -> CurrentValues:
    """Return the values of a derived version, of everybody who has an input; there may be no value that it gives.

    Their as_of is that of the computed values that they come from, or else that of the newest written ones.
    """
    columns = derived_values(view, [held.columns for held in inputs.values()])
    place = {customer_id: number for number, customer_id in enumerate(columns.customer_ids)}
    as_of_us, row_ids = np.zeros((2, len(place)), dtype=np.int64)
    for row, held in sorted(inputs.items(), key=lambda item: item[0].feature_type == FeatureType.BEHAVIORAL):
        places = [place[customer_id] for customer_id in held.columns.customer_ids]
        is_computed = row.feature_type == FeatureType.BEHAVIORAL
        as_of_us[places] = held.as_of_us if is_computed else np.maximum(as_of_us[places], held.as_of_us)
        row_ids[places] = np.maximum(row_ids[places], held.row_ids)
    return CurrentValues(columns=columns, as_of_us=as_of_us, row_ids=row_ids, metadata=[{}] * len(place))


def as_published(
    view: FeatureView, held: CurrentValues, *, customer_ids: Sequence[str], known: Registry
) -> PublishedVersion:
    """Return a version's values as texts, in the order of `customer_ids`; a hash of who has none keeps its fields.

    A value that a customer does not have is deleted. For a TTL after a switch, so are those that only other versions of
    the type have.
    """
    columns = held.columns
    stamps = layout.stamps(held.as_of_us.tolist(), row_ids=held.row_ids.tolist(), version=view.number)
    metadata = [orjson.dumps(row).decode() for row in held.metadata]
    fields: dict[str, Sequence[str | bool]] = texts_of(columns)
    if held.decay_snapshots:
        fields[layout.decay_snapshot_field(view.feature_type)] = held.decay_snapshots
    if known.is_live(view) and view.feature_type in known.switched:
        fields |= dict.fromkeys(known.left_out(view), [REMOVED] * len(stamps))
    if columns.customer_ids != customer_ids:
        place = {customer_id: number for number, customer_id in enumerate(customer_ids)}
        places, among = [place[customer_id] for customer_id in columns.customer_ids], len(customer_ids)
        stamps = spread(stamps, places, among=among, nothing="")
        metadata = spread(metadata, places, among=among, nothing="{}")
        fields = {name: spread(texts, places, among=among, nothing=UNCHANGED) for name, texts in fields.items()}
    return PublishedVersion(view.feature_type, stamps, {layout.metadata_field(view.feature_type): metadata, **fields})


def texts_of(columns: Columns) -> dict[str, Sequence[str | bool]]:
    """Return the values as decimal strings, REMOVED where there is none. All are written at once."""
    values = np.array([*columns.by_name.values()], dtype=np.float64)
    texts: list[str | bool] = [*layout.value_texts(values.ravel())]
    width = len(columns.customer_ids)
    rows = [texts[n * width : (n + 1) * width] for n in range(len(columns.by_name))]
    for number, place in np.argwhere(np.isnan(values)).tolist():
        rows[number][place] = REMOVED
    return dict(zip(columns.by_name, rows, strict=True))


def spread(texts: Sequence[T], places: Sequence[int], *, among: int, nothing: T) -> list[T]:
    """Return a column of `among` texts: these at their places, and `nothing` at all others."""
    column = [nothing] * among
    for place, text in zip(places, texts, strict=True):
        column[place] = text
    return column
