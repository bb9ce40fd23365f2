"""Activity columns: what each customer did in a window, the input of the formulas."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from events.event_types import EVENT_TYPES

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
NEVER = int(np.iinfo(np.int64).min)
# In stored activity: event type → count, of the types that have no member of their own.
OTHER_TYPES = "other_types"
LARGEST = float(np.finfo(np.float64).max)
MICROSECONDS_PER_SECOND = 1_000_000
MICROSECONDS_PER_HOUR = 3_600 * MICROSECONDS_PER_SECOND
MICROSECONDS_PER_DAY = 24 * MICROSECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Windowed:
    """Columns of one windowed feature: its value, and the moments of the first and last matching event.

    Moments are microseconds since 1970 UTC, NEVER where no event matches. `features.formulas.windowed` defines which
    events match.
    """

    value: Floats
    first_us: Ints
    last_us: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Columns of length n: what n customers did in the window, in the order of `customer_ids`.

    Moments and durations are in microseconds, moments since 1970 UTC, NEVER where there is none. `counts` is by event
    type: the first types, and the others of which one of the customers has an event; a type that is not in it counts 0.
    `first_event_us` and `last_event_us` are the moments of the oldest and of the newest counted event; the newest
    is not stored with the history, so it is NEVER in activity that was read from there. `session_us` is the sum of
    last − first event over the `sessions`. `top_category_events` is the number of events in the customer's largest
    category, out of the `categorised_events` that have one. `windowed` holds the windowed features that operators
    defined, by name.
    """

    customer_ids: list[str]
    counts: Mapping[str, Ints]
    purchase_amount: Floats
    last_purchase_us: Ints
    first_event_us: Ints
    sessions: Ints
    session_us: Ints
    categorised_events: Ints
    top_category_events: Ints
    last_event_us: Ints
    windowed: Mapping[str, Windowed] = field(default_factory=dict)

    COLUMNS = (
        "last_purchase_us",
        "first_event_us",
        "sessions",
        "session_us",
        "categorised_events",
        "top_category_events",
    )
    # What engines compute beside the counts; the last of them is not stored.
    COMPUTED = (*COLUMNS, "last_event_us")

    @classmethod
    def from_records(cls, customer_ids: list[str], records: list[Mapping[str, Any]]) -> Self:
        """Return columns from one mapping per customer, as `to_records` writes them."""

        names = (*EVENT_TYPES, "purchase_amount", *cls.COLUMNS)
        columns = {name: [record[name] for record in records] for name in names}
        others = [record.get(OTHER_TYPES) for record in records]
        return cls.from_columns(customer_ids, columns | {"last_event_us": [NEVER] * len(records)}, others=others)

    @classmethod
    def from_columns(
        cls,
        customer_ids: list[str],
        columns: Mapping[str, Sequence[float]],
        *,
        others: Sequence[Mapping[str, int] | None],
        windowed: Mapping[str, Windowed] | None = None,
    ) -> Self:
        """Return columns from sequences by column name, such as the transposed rows of a query.

        `others` are the counts of each customer's events of other than the first types, None where there are none.
        """
        computed: dict[str, Any] = {name: np.array(columns[name], dtype=np.int64) for name in cls.COMPUTED}
        first = {name: np.array(columns[name], dtype=np.int64) for name in EVENT_TYPES}
        return cls(
            customer_ids=customer_ids,
            counts=first | columns_of_others(others),
            purchase_amount=np.array(columns["purchase_amount"], dtype=np.float64),
            windowed=windowed or {},
            **computed,
        )

    def of(self, customer_ids: Collection[str]) -> Self:
        """Return the activity of those of its customers that are among `customer_ids`."""
        if len(self.customer_ids) == len(customer_ids):
            return self
        rows = [row for row, customer_id in enumerate(self.customer_ids) if customer_id in customer_ids]
        return dataclasses.replace(
            self,
            customer_ids=[self.customer_ids[row] for row in rows],
            counts={name: column[rows] for name, column in self.counts.items()},
            purchase_amount=self.purchase_amount[rows],
            windowed={
                name: Windowed(column.value[rows], column.first_us[rows], column.last_us[rows])
                for name, column in self.windowed.items()
            },
            **{name: getattr(self, name)[rows] for name in self.COMPUTED},
        )

    def to_records(self) -> list[dict[str, Any]]:
        """Return one mapping per customer, of JSON types only, to be stored in the metadata of a history row.

        Types other than the first are in it under OTHER_TYPES where the customer has events of them.
        """
        columns: dict[str, list[Any]] = {name: self.counts[name].tolist() for name in EVENT_TYPES}
        columns["purchase_amount"] = self.purchase_amount.tolist()
        columns |= {name: getattr(self, name).tolist() for name in self.COLUMNS}
        # In the order in which PostgreSQL returns them, so that what is published is the same text either way.
        columns = {name: columns[name] for name in sorted(columns, key=lambda name: (len(name), name))}
        records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for name in sorted(self.counts.keys() - set(EVENT_TYPES)):
            for row in np.flatnonzero(self.counts[name]).tolist():
                records[row].setdefault(OTHER_TYPES, {})[name] = int(self.counts[name][row])
        return records


def columns_of_others(others: Sequence[Mapping[str, int] | None]) -> dict[str, Ints]:
    """Return the counts of each customer, by event type, as a column for each type."""
    columns: dict[str, Ints] = {}
    for row, counts in enumerate(others):
        for name, number in (counts or {}).items():
            if name not in columns:
                columns[name] = np.zeros(len(others), dtype=np.int64)
            columns[name][row] = number
    return columns


def counts_in(record: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts by event type in a mapping that `to_records` wrote; types that are not in it count 0."""
    others: Mapping[str, int] = record.get(OTHER_TYPES, {})
    return {name: record[name] for name in EVENT_TYPES} | dict(others)
