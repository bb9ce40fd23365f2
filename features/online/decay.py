"""Recompute time-dependent features from the decay snapshots stored in Redis.

A renewal moves a customer's values to a later moment without reading an event or the history. Behavioral values come
from the decay snapshot, derived values from those and from what clients wrote, read beside the snapshot.

    1. `read_hash_columns` reads the snapshots, and the values that clients wrote, of n customers.
    2. `decayed_hashes` moves them to `as_of`: what each hash is to hold, for `restamp`.
    3. Customers whose snapshot is not of their last computation are returned, to be published as a whole.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import orjson
from django.conf import settings

from featurehub.lib.batched import T
from featurehub.lib.clock import microseconds
from features.formulas.activity import Bools, Floats, Ints
from features.formulas.decay import DecaySnapshot, decayed_values
from features.formulas.values import evaluate_view
from features.formulas.view import FeatureView
from features.models.definitions import WRITTEN_BY_CLIENTS
from features.online import layout
from features.online.decay_snapshots import parse_decay_snapshots
from features.online.restamp import RestampedHashes
from features.online.store import REMOVED, UNCHANGED, read_columns
from features.registry.contents import Registry

RedisColumn: TypeAlias = Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class HashColumns:
    """The fields that were read of n customers' hashes: (suffix, field) → a column of length n."""

    known: Registry
    by_place: Mapping[tuple[str, str], RedisColumn]

    def column(self, view: FeatureView, field: str) -> RedisColumn:
        return self.by_place[layout.suffix_in(self.known, view), field]

    def decay_snapshots(self, view: FeatureView) -> RedisColumn:
        return self.column(view, layout.decay_snapshot_field(view.feature_type))

    def stamps(self, view: FeatureView) -> RedisColumn:
        return self.column(view, layout.stamp_field(view.feature_type))

    def values(self, view: FeatureView, name: str) -> Floats:
        """Return a feature's values, NaN where there is none."""
        return numbers(self.column(view, name))


@dataclass(frozen=True, slots=True)
class DecayedVersion:
    """The time-dependent values of one computed version for n customers, moved to a later moment.

    `can_decay`: time changes any value of the customer at all. `expected`: the end of the stamp, from the row on, where
    Redis holds what the values were moved from.
    """

    values: Mapping[str, Floats]
    can_decay: Bools
    expected: Sequence[str]


def numbers(texts: RedisColumn) -> Floats:
    """Return the numbers in these texts, NaN for no text, in one pass of a JSON parser."""
    return np.array(orjson.loads(b"[%b]" % b",".join([text or b"null" for text in texts])), dtype=np.float64)


def written_inputs(inputs: Iterable[FeatureView]) -> list[FeatureView]:
    """Return those of a derived version's inputs that clients write."""
    return [view for view in inputs if view.feature_type in WRITTEN_BY_CLIENTS]


@lru_cache(maxsize=2)
def fields_to_read(known: Registry) -> Mapping[str, tuple[str, ...]]:
    """Return the fields to read of every hash that a customer can have: suffix → fields."""
    fields: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for view in known.views.values():
        fields[layout.suffix_in(known, view)].update({})
    for view in known.behavioral:
        fields[layout.suffix_in(known, view)][layout.decay_snapshot_field(view.feature_type)] = None
    for view in known.derived_from_behavioral:
        for written in written_inputs(known.inputs(view)):
            names = sorted(view.reads.intersection(written.names))
            stamp = layout.stamp_field(written.feature_type)
            fields[layout.suffix_in(known, written)].update(dict.fromkeys((stamp, *names)))
    return {suffix: tuple(names) for suffix, names in fields.items()}


def read_hash_columns(customer_ids: Sequence[str], *, known: Registry) -> HashColumns:
    """Read what `decayed_hashes` needs of at least one customer's hashes."""
    by_place: dict[tuple[str, str], RedisColumn] = {}
    for suffix, fields in fields_to_read(known).items():
        if fields:
            columns = read_columns(customer_ids, fields, suffix=suffix)
            by_place |= zip(((suffix, field) for field in fields), columns, strict=True)
    return HashColumns(known, by_place)


def decayed_hashes(
    customer_ids: Sequence[str], computed_us: Ints, *, held: HashColumns, as_of: datetime
) -> tuple[list[RestampedHashes], list[str]]:
    """Return the customers' hashes at `as_of`, and the customers whose hashes are not of their last computation.

    `computed_us` are the moments of their last computations.
    """
    known, as_of_us = held.known, microseconds(as_of)
    is_current = np.ones(len(customer_ids), dtype=bool)
    snapshots: dict[FeatureView, DecaySnapshot] = {}
    versions: dict[FeatureView, DecayedVersion] = {}
    for view in known.behavioral:
        computations, snapshots[view] = parse_decay_snapshots(
            held.decay_snapshots(view), view=view, inputs=known.read_by_derived(view)
        )
        is_current &= computations == computed_us
        versions[view] = decayed_behavioral(view, snapshot=snapshots[view], as_of_us=as_of_us)
    for view in known.derived_from_behavioral:
        versions[view] = decayed_derived(view, held=held, snapshots=snapshots, behavioral=versions)
    places = np.flatnonzero(is_current)
    hashes = [
        decayed_hash(customer_ids, places=places, suffix=suffix, known=known, versions=versions)
        for suffix in fields_to_read(known)
    ]
    return hashes, list(at(np.flatnonzero(~is_current), customer_ids))


def decayed_behavioral(view: FeatureView, *, snapshot: DecaySnapshot, as_of_us: int) -> DecayedVersion:
    """Move a behavioral version's snapshot to `as_of_us`."""
    return DecayedVersion(
        values=decayed_values(snapshot, view=view, until_us=as_of_us, window_days=settings.WINDOW_DAYS),
        can_decay=snapshot.can_decay(),
        expected=layout.row_texts(snapshot.row_ids.tolist(), view.number),
    )


def decayed_derived(
    view: FeatureView,
    *,
    held: HashColumns,
    snapshots: Mapping[FeatureView, DecaySnapshot],
    behavioral: Mapping[FeatureView, DecayedVersion],
) -> DecayedVersion:
    """Compute a derived version from a decayed behavioral one, and from what clients have written.

    Its stamp carries the newest row among those that it is derived from.
    """
    inputs = held.known.inputs(view)
    source = next(row for row in inputs if row in snapshots)
    row_ids = snapshots[source].row_ids
    columns = {name: np.full(len(row_ids), np.nan) for name in view.reads}
    columns |= {name: values for name, values in snapshots[source].inputs.items() if name in view.reads}
    columns |= {name: values for name, values in behavioral[source].values.items() if name in view.reads}
    for row in written_inputs(inputs):
        columns |= {name: held.values(row, name) for name in view.reads.intersection(row.names)}
        row_ids = np.maximum(row_ids, [layout.row_of(stamp) for stamp in held.stamps(row)])
    values = evaluate_view(view, columns, rows=len(row_ids))
    return DecayedVersion(
        values={name: values[name] for name in held.known.time_dependent_names(view)},
        can_decay=behavioral[source].can_decay,
        expected=layout.row_texts(row_ids.tolist(), view.number),
    )


def decayed_hash(
    customer_ids: Sequence[str],
    *,
    places: Ints,
    suffix: str,
    known: Registry,
    versions: Mapping[FeatureView, DecayedVersion],
) -> RestampedHashes:
    """Return one hash of the customers at these places."""
    inside = {view: version for view, version in versions.items() if layout.suffix_in(known, view) == suffix}
    return RestampedHashes(
        suffix=suffix,
        customer_ids=at(places, customer_ids),
        expected={
            layout.stamp_field(view.feature_type): at(places, version.expected) for view, version in inside.items()
        },
        changed={
            name: decayed_texts(values[places], can_decay=version.can_decay[places])
            for version in inside.values()
            for name, values in version.values.items()
        },
    )


def at(places: Ints, column: Sequence[T]) -> Sequence[T]:
    """Return the items of a column at these places, which are in ascending order and distinct."""
    return column if len(places) == len(column) else [column[place] for place in places.tolist()]


def decayed_texts(values: Floats, *, can_decay: Bools) -> list[str | bool]:
    """Return what `restamp` takes: a decimal string, UNCHANGED where time changes nothing, REMOVED for no value."""
    texts = layout.chosen_texts(values, wanted=can_decay & (values == values), otherwise=REMOVED)
    return [text if decays else UNCHANGED for text, decays in zip(texts, can_decay.tolist(), strict=True)]
