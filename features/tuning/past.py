"""Past days for backtests and fitting: the activity up to a moment, and who purchased in the days after it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from io import BytesIO
from typing import Any, Self

import numpy as np
from django.conf import settings
from django.db import connection

from events.event_types import EVENT_TYPES
from features.engines.activity_sql import COUNTS_OF_FIRST_TYPES, COUNTS_OF_OTHER_TYPES
from features.engines.postgres import POSTGRES_DIALECT, parsed_counts
from features.formulas.activity import Bools, Ints, columns_of_others

# The counts of the engines, without their other columns; a test compares them with an engine's.
COUNTS = f"""
with recent as not materialized (
    select customer_id, event_type from events_event where "timestamp" between %(oldest)s and %(as_of)s
),
others as (
    {COUNTS_OF_OTHER_TYPES.format(in_window="true", **POSTGRES_DIALECT)}
)
select totals.*, other_types
from (select customer_id, {COUNTS_OF_FIRST_TYPES} from recent group by customer_id) totals
left join others using (customer_id)
order by customer_id
"""  # noqa: S608 - constants
# In stored days: before the names of types that are not there from the start.
FURTHER = "type:"
BUYERS = """
select distinct customer_id from events_event
where event_type = 'purchase' and "timestamp" > %(as_of)s and "timestamp" <= %(until)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastDay:
    """The n customers with an event in the window before a moment: their counts up to it, and who purchased after.

    `customers` are hashes of the ids, the same on every day. `counts`: event type → n counts. `bought`: n booleans.
    """

    customers: Ints
    counts: dict[str, Ints]
    bought: Bools

    def __len__(self) -> int:
        return len(self.customers)

    def to_bytes(self) -> bytes:
        """Return the columns in NumPy's compressed format."""
        file = BytesIO()
        counts = {name if name in EVENT_TYPES else f"{FURTHER}{name}": each for name, each in self.counts.items()}
        columns: dict[str, Any] = {"customers": self.customers, "bought": self.bought, **counts}
        np.savez_compressed(file, **columns)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the columns that `to_bytes` has written."""
        with np.load(BytesIO(content), allow_pickle=False) as columns:
            return cls(
                customers=columns["customers"],
                bought=columns["bought"],
                counts={
                    key.removeprefix(FURTHER): columns[key] for key in columns if key not in ("customers", "bought")
                },
            )

    @classmethod
    def concatenated(cls, days: list["PastDay"]) -> Self:
        """Return the rows of all days as one."""
        return cls(
            customers=np.concatenate([day.customers for day in days]),
            bought=np.concatenate([day.bought for day in days]),
            counts={
                name: np.concatenate([day.counts.get(name, np.zeros(len(day), dtype=np.int64)) for day in days])
                for name in dict.fromkeys(name for day in days for name in day.counts)
            },
        )


def past_day(as_of: datetime, *, horizon: timedelta) -> PastDay:
    """Return the counts of events up to `as_of`, and who purchased in (as_of, as_of + horizon].

    Two passes over the events.
    """
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"oldest": as_of - timedelta(days=settings.WINDOW_DAYS), "as_of": as_of})
        rows = cursor.fetchall()
        cursor.execute(BUYERS, {"as_of": as_of, "until": as_of + horizon})
        buyers = {customer_id for (customer_id,) in cursor.fetchall()}
    first = np.array([row[1:-1] for row in rows], dtype=np.int64).reshape(len(rows), len(EVENT_TYPES))
    others = columns_of_others(parsed_counts(row[-1] for row in rows))
    return PastDay(
        customers=np.array([number_of(row[0]) for row in rows], dtype=np.int64),
        counts={name: first[:, place] for place, name in enumerate(EVENT_TYPES)} | others,
        bought=np.array([row[0] in buyers for row in rows], dtype=np.bool_),
    )


def number_of(customer_id: str) -> int:
    """Return 63 bits of a hash of the id."""
    return int.from_bytes(blake2b(customer_id.encode(), digest_size=8).digest(), "big") >> 1
