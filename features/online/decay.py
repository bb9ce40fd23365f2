"""What time alone has made of the values that Redis holds.

The values of a hash move from its base, `computation,layout,row,since,last purchase,decaying value,…,input,…`: the
moment of the computation that found them, what `values.Base.layout` was then, the history row they are in and its
moment (microseconds since 1970 UTC), and the rest of that row as `Base` has it. Redis holds what PostgreSQL holds where
the computation is the customer's last one. Of derived values the stamps say what rows they are of; values that clients
wrote are read beside the base.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias, TypeVar

import numpy as np
import orjson
from django.conf import settings

from featurehub.lib.clock import microseconds
from features.formulas.activity import NEVER, Bools, Floats, Ints
from features.formulas.decay import DecaySnapshot, decayed_values
from features.formulas.values import evaluated
from features.formulas.view import FeatureView
from features.models.definitions import WRITTEN_BY_CLIENTS
from features.online import store
from features.online.layout import suffix_of
from features.online.restamp import UNCHANGED, Hashes
from features.registry.contents import Registry

T = TypeVar("T")
RedisColumn: TypeAlias = Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class HashColumns:
    """What Redis holds of n customers: a column of each field that was read, by the view whose values are there."""

    known: Registry
    by_place: Mapping[tuple[str, str], RedisColumn]

    def column(self, view: FeatureView, field: str) -> RedisColumn:
        return self.by_place[suffix_in(self.known, view), field]

    def stamps(self, view: FeatureView) -> RedisColumn:
        return self.column(view, store.stamp_field(view.feature_type))

    def values(self, view: FeatureView, name: str) -> Floats:
        """NaN where there is none."""
        return floats(self.column(view, name))


@dataclass(frozen=True, slots=True)
class DecayedVersion:
    """Of a computed version: its values that time moves, of whom it can move any, who has values at all, and what
    stamps end in where Redis holds what they were moved from."""

    values: Mapping[str, Floats]
    can_move: Bools
    has_values: Bools
    expected: Sequence[str]


def written(inputs: Iterable[FeatureView]) -> list[FeatureView]:
    """Those of a derived version's inputs that clients write."""
    return [view for view in inputs if view.feature_type in WRITTEN_BY_CLIENTS]


def suffix_in(known: Registry, view: FeatureView) -> str:
    """What the key that holds the version's values ends in."""
    return "" if known.is_live(view) else suffix_of(*view.key)


@lru_cache(maxsize=2)
def fields_to_read(known: Registry) -> Mapping[str, tuple[str, ...]]:
    """The fields to read of every hash that a customer can have, by suffix."""
    fields: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for view in known.views.values():
        fields[suffix_in(known, view)].update({})
    for view in known.behavioral:
        fields[suffix_in(known, view)][store.base_field(view.feature_type)] = None
    for view in known.derived_from_behavioral:
        for row in written(known.inputs(view)):
            names = sorted(view.reads.intersection(row.names))
            fields[suffix_in(known, row)].update(dict.fromkeys((store.stamp_field(row.feature_type), *names)))
    return {suffix: tuple(names) for suffix, names in fields.items()}


def read_hash_columns(customer_ids: Sequence[str], *, known: Registry) -> HashColumns:
    """What is needed of the customers' hashes, at least one customer's."""
    by_place: dict[tuple[str, str], RedisColumn] = {}
    for suffix, fields in fields_to_read(known).items():
        if fields:
            rows = store.read_hashes(customer_ids, fields, suffix=suffix)
            by_place |= zip(((suffix, field) for field in fields), zip(*rows, strict=True), strict=True)
    return HashColumns(known, by_place)


def decayed_hashes(
    customer_ids: Sequence[str], computed_us: Ints, *, held: HashColumns, as_of: datetime
) -> tuple[list[Hashes], list[str]]:
    """The customers' hashes at `as_of`, and the customers of whom Redis holds something else than PostgreSQL does.

    `computed_us` are the moments of their last computations. Hashes of a later moment already are left alone.
    """
    known, as_of_us = held.known, microseconds(as_of)
    right = np.ones(len(customer_ids), dtype=bool)
    bases: dict[FeatureView, DecaySnapshot] = {}
    moved_versions: dict[FeatureView, DecayedVersion] = {}
    for view in known.behavioral:
        computations, bases[view] = parse_decay_snapshots(
            held.column(view, store.base_field(view.feature_type)), view=view, inputs=known.read_by_derived(view)
        )
        right &= computations == computed_us
        moved_versions[view] = decayed_behavioral(view, base=bases[view], as_of_us=as_of_us)
    for view in known.derived_from_behavioral:
        moved_versions[view] = decayed_derived(view, held=held, bases=bases, behavioral=moved_versions)
    places = np.flatnonzero(right)
    hashes = [
        decayed_hash(customer_ids, places=places, suffix=suffix, known=known, versions=moved_versions)
        for suffix in fields_to_read(known)
    ]
    return hashes, list(at(np.flatnonzero(~right), customer_ids))


def parse_decay_snapshots(
    texts: RedisColumn, *, view: FeatureView, inputs: Sequence[str]
) -> tuple[Ints, DecaySnapshot]:
    """The moments of the computations (NEVER: none, or one that knew of other names), and the base."""
    decaying = [feature.name for feature in view.decaying]
    nothing = b",".join([b"%d,0,0,0,%d" % (NEVER, NEVER), *(b"null" for _ in (*decaying, *inputs))])
    commas = nothing.count(b",")
    flat = floats([text if text is not None and text.count(b",") == commas else nothing for text in texts])
    # Doubles hold these numbers exactly: they are below 2 ** 53, and NEVER is a power of two.
    computations, layouts, row_ids, since_us, last_purchase_us, *values = flat.reshape(len(texts), -1).T
    base = DecaySnapshot(
        row_ids=row_ids.astype(np.int64),
        since_us=since_us.astype(np.int64),
        last_purchase_us=last_purchase_us.astype(np.int64),
        decaying=dict(zip(decaying, values[: len(decaying)], strict=True)),
        inputs=dict(zip(inputs, values[len(decaying) :], strict=True)),
    )
    return np.where(layouts == base.layout, computations, NEVER).astype(np.int64), base


def decayed_behavioral(view: FeatureView, *, base: DecaySnapshot, as_of_us: int) -> DecayedVersion:
    return DecayedVersion(
        values=decayed_values(base, view=view, until_us=as_of_us, window_days=settings.WINDOW_DAYS),
        can_move=base.can_move(),
        has_values=np.ones(len(base.row_ids), dtype=bool),
        expected=[store.row_text(row_id, view.number) for row_id in base.row_ids.tolist()],
    )


def decayed_derived(
    view: FeatureView,
    *,
    held: HashColumns,
    bases: Mapping[FeatureView, DecaySnapshot],
    behavioral: Mapping[FeatureView, DecayedVersion],
) -> DecayedVersion:
    """A version that is derived from a behavioral one, and perhaps from what clients have written."""
    inputs = held.known.inputs(view)
    source = next(row for row in inputs if row in bases)
    row_ids = bases[source].row_ids
    columns = {name: np.full(len(row_ids), np.nan) for name in view.reads}
    columns |= {name: values for name, values in bases[source].inputs.items() if name in view.reads}
    columns |= {name: values for name, values in behavioral[source].values.items() if name in view.reads}
    for row in written(inputs):
        columns |= {name: held.values(row, name) for name in view.reads.intersection(row.names)}
        row_ids = np.maximum(row_ids, [store.row_of(stamp) for stamp in held.stamps(row)])
    values = evaluated(view, columns, rows=len(row_ids))
    has_values = ~np.logical_and.reduce([np.isnan(column) for column in values.values()])
    return DecayedVersion(
        values={name: values[name] for name in held.known.moving(view)},
        can_move=behavioral[source].can_move,
        has_values=has_values,
        expected=[
            store.row_text(row_id, view.number) if has else ""
            for row_id, has in zip(row_ids.tolist(), has_values.tolist(), strict=True)
        ],
    )


def decayed_hash(
    customer_ids: Sequence[str],
    *,
    places: Ints,
    suffix: str,
    known: Registry,
    versions: Mapping[FeatureView, DecayedVersion],
) -> Hashes:
    """One hash of the customers at these places; none of those who have no value in it."""
    inside = {view: version for view, version in versions.items() if suffix_in(known, view) == suffix}
    if inside:
        places = places[np.logical_or.reduce([version.has_values[places] for version in inside.values()])]
    return Hashes(
        suffix=suffix,
        customer_ids=at(places, customer_ids),
        expected={
            store.stamp_field(view.feature_type): at(places, version.expected) for view, version in inside.items()
        },
        changed={
            name: decayed_texts(values[places], can_move=version.can_move[places])
            for version in inside.values()
            for name, values in version.values.items()
        },
    )


def at(places: Ints, column: Sequence[T]) -> Sequence[T]:
    """Those of a column's items that are at these places, in rising order."""
    return column if len(places) == len(column) else [column[place] for place in places.tolist()]


def decayed_texts(values: Floats, *, can_move: Bools) -> list[str | bool]:
    """What `restamping` takes: decimal strings that round-trip the doubles."""
    pairs = zip(values.tolist(), can_move.tolist(), strict=True)
    return [(repr(value) if value == value else False) if moves else UNCHANGED for value, moves in pairs]


def floats(column: RedisColumn) -> Floats:
    """The numbers in the texts, NaN where there is none: one pass of a JSON parser."""
    return np.array(orjson.loads(b"[%b]" % b",".join([text or b"null" for text in column])), dtype=np.float64)
