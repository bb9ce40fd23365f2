"""What time alone has made of the values that Redis holds.

The values of a hash move from its base, `computation,since,last purchase,decaying value,…`: the moment of the
computation that found them and that of the history row they are in (microseconds since 1970 UTC), and what time moves
of that row, as `values.Base` has it. Redis holds what PostgreSQL holds where the computation is the customer's last
one; derived values are those of the base where their stamp says the same moment, and the newest row they came from.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from features import store
from features.formulas import NEVER, Floats, Ints, microseconds
from features.models import FeatureType
from features.registry import FeatureView, Registry
from features.restamping import UNCHANGED, Hashes
from features.values import Base, evaluated, moved

T = TypeVar("T")
Bools: TypeAlias = npt.NDArray[np.bool_]
Column: TypeAlias = Sequence[bytes | None]
# Where in a stamp the version begins.
VERSION_BEGINS = 38


@dataclass(frozen=True, slots=True)
class Held:
    """What Redis holds of n customers: a column of each field that was read, by the view whose values are there."""

    known: Registry
    by_place: Mapping[tuple[str, str], Column]

    def column(self, view: FeatureView, field: str) -> Column:
        return self.by_place[suffix_in(self.known, view), field]

    def stamps(self, view: FeatureView) -> Column:
        return self.column(view, store.stamp_field(view.feature_type))

    def values(self, view: FeatureView, name: str) -> Floats:
        """NaN where there is none."""
        return floats(self.column(view, name))


@dataclass(frozen=True, slots=True)
class MovedVersion:
    """Of a computed version: its values that time moves, of whom it can move any, and of whom Redis is `right`."""

    values: Mapping[str, Floats]
    can_move: Bools
    right: Bools


def suffix_in(known: Registry, view: FeatureView) -> str:
    """What the key that holds the version's values ends in."""
    return "" if known.is_live(view) else view.suffix


def moving_with_time(known: Registry) -> list[FeatureView]:
    """The derived versions whose values hold at the moment of behavioral ones; the others are as old as what clients
    wrote."""
    behavioral = set(known.behavioral)
    return [view for view in known.derived if not behavioral.isdisjoint(known.inputs(view))]


@lru_cache(maxsize=2)
def fields_to_read(known: Registry) -> Mapping[str, tuple[str, ...]]:
    """The fields to read of every hash that a customer can have, by suffix."""
    fields: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for view in known.views.values():
        fields[suffix_in(known, view)].update({})
    for view in known.behavioral:
        kept = (store.stamp_field(view.feature_type), store.base_field(view.feature_type))
        fields[suffix_in(known, view)].update(dict.fromkeys(kept))
    for view in moving_with_time(known):
        for row in (view, *known.inputs(view)):
            read = view.reads.intersection(row.names).difference(row.time_dependent)
            fields[suffix_in(known, row)].update(dict.fromkeys((store.stamp_field(row.feature_type), *sorted(read))))
    return {suffix: tuple(names) for suffix, names in fields.items()}


def read(customer_ids: Sequence[str], *, known: Registry) -> Held:
    """What is needed of the customers' hashes, at least one customer's."""
    by_place: dict[tuple[str, str], Column] = {}
    for suffix, fields in fields_to_read(known).items():
        if fields:
            rows = store.read(customer_ids, fields, suffix=suffix)
            by_place |= zip(((suffix, field) for field in fields), zip(*rows, strict=True), strict=True)
    return Held(known, by_place)


def moved_hashes(
    customer_ids: Sequence[str], computed_us: Ints, *, held: Held, as_of: datetime
) -> tuple[list[Hashes], list[str]]:
    """The customers' hashes at `as_of`, and the customers of whom Redis holds something else than PostgreSQL does.

    `computed_us` are the moments of their last computations. Hashes of a later moment already are left alone.
    """
    known, as_of_us = held.known, microseconds(as_of)
    computed: dict[FeatureView, MovedVersion] = {}
    for view in known.behavioral:
        computed[view] = moved_behavioral(view, held=held, computed_us=computed_us, as_of_us=as_of_us)
    for view in moving_with_time(known):
        computed[view] = moved_derived(view, held=held, computed=computed)
    right = np.logical_and.reduce([version.right for version in computed.values()])
    hashes = [
        moved_hash(customer_ids, suffix=suffix, right=right, held=held, computed=computed, as_of=as_of)
        for suffix in fields_to_read(known)
    ]
    return hashes, list(at(np.flatnonzero(~right), customer_ids))


def moved_behavioral(view: FeatureView, *, held: Held, computed_us: Ints, as_of_us: int) -> MovedVersion:
    ending = store.stamp_ending(view.number)
    computations, base = read_base(held.column(view, store.base_field(view.feature_type)), view=view)
    is_of_version = [(stamp or b"").endswith(ending) for stamp in held.stamps(view)]
    return MovedVersion(
        values=moved(base, view=view, until_us=as_of_us),
        can_move=base.can_move(),
        right=np.array(is_of_version) & (computations == computed_us),
    )


def read_base(texts: Column, *, view: FeatureView) -> tuple[Ints, Base]:
    """The moments of the computations (NEVER: none), and the base."""
    decaying = [feature.name for feature in view.decaying]
    nothing = b",".join([b"%d,0,%d" % (NEVER, NEVER), *(b"null" for _ in decaying)])
    commas = nothing.count(b",")
    flat = floats([text if text is not None and text.count(b",") == commas else nothing for text in texts])
    # Doubles hold these moments exactly: they are below 2 ** 53, and NEVER is a power of two.
    computations, since_us, last_purchase_us, *values = flat.reshape(len(texts), -1).T
    base = Base(
        since_us=since_us.astype(np.int64),
        last_purchase_us=last_purchase_us.astype(np.int64),
        decaying=dict(zip(decaying, values, strict=True)),
    )
    return computations.astype(np.int64), base


def moved_derived(view: FeatureView, *, held: Held, computed: Mapping[FeatureView, MovedVersion]) -> MovedVersion:
    """A version that is derived from a behavioral one, and perhaps from what clients have written."""
    known, inputs = held.known, held.known.inputs(view)
    stamps = held.stamps(view)
    columns = {name: np.full(len(stamps), np.nan) for name in view.reads}
    for row in inputs:
        in_hash = view.reads.intersection(row.names).difference(row.time_dependent)
        columns |= {name: held.values(row, name) for name in in_hash}
    behavioral = next(computed[row] for row in inputs if row in computed)
    columns |= {name: values for name, values in behavioral.values.items() if name in view.reads}
    values = evaluated(view, columns, rows=len(stamps))
    has_values = ~np.logical_and.reduce([np.isnan(column) for column in values.values()])
    expected = expected_stamps(view, [(row, held.stamps(row)) for row in inputs])
    right = [
        stamp == wanted if has else not stamp
        for stamp, wanted, has in zip(stamps, expected, has_values.tolist(), strict=True)
    ]
    return MovedVersion({name: values[name] for name in known.moving(view)}, behavioral.can_move, np.array(right))


def expected_stamps(view: FeatureView, inputs: Sequence[tuple[FeatureView, Column]]) -> list[bytes]:
    """The stamps of values derived from inputs with these stamps: the moment of the behavioral ones, the newest row."""
    ending = view.number.encode()
    moments = next(stamps for row, stamps in inputs if row.feature_type == FeatureType.BEHAVIORAL)
    if len(inputs) == 1:
        return [(stamp or b"")[:VERSION_BEGINS] + ending for stamp in moments]
    rows = zip(*(stamps for _, stamps in inputs), strict=True)
    newest = (max((stamp or b"")[store.ROW_BEGINS : VERSION_BEGINS] for stamp in row) for row in rows)
    return [(moment or b"")[: store.ROW_BEGINS] + row + ending for moment, row in zip(moments, newest, strict=True)]


def moved_hash(
    customer_ids: Sequence[str],
    *,
    suffix: str,
    right: Bools,
    held: Held,
    computed: Mapping[FeatureView, MovedVersion],
    as_of: datetime,
) -> Hashes:
    """One hash of the customers of whom Redis is right, but for those that have none or one of a later moment."""
    inside = {view: version for view, version in computed.items() if suffix_in(held.known, view) == suffix}
    chosen = right
    if inside:
        moment = store.moment_text(microseconds(as_of)).encode()
        chosen = right & np.array([b"" < (stamp or b"") < moment for stamp in held.stamps(next(iter(inside)))])
    places = np.flatnonzero(chosen)
    return Hashes(
        suffix=suffix,
        customer_ids=at(places, customer_ids),
        expected={
            store.stamp_field(view.feature_type): [
                (stamp or b"")[store.ROW_BEGINS :].decode() for stamp in at(places, held.stamps(view))
            ]
            for view in inside
        },
        changed={
            name: texts(values[places], can_move=version.can_move[places])
            for version in inside.values()
            for name, values in version.values.items()
        },
    )


def at(places: Ints, column: Sequence[T]) -> Sequence[T]:
    """Those of a column's items that are at these places, in rising order."""
    return column if len(places) == len(column) else [column[place] for place in places.tolist()]


def texts(values: Floats, *, can_move: Bools) -> list[str | bool]:
    """What `restamping` takes: decimal strings that round-trip the doubles."""
    pairs = zip(values.tolist(), can_move.tolist(), strict=True)
    return [(repr(value) if value == value else False) if moves else UNCHANGED for value, moves in pairs]


def floats(column: Column) -> Floats:
    """The numbers in the texts, NaN where there is none: one pass of a JSON parser."""
    return np.array(orjson.loads(b"[%b]" % b",".join([text or b"null" for text in column])), dtype=np.float64)
