"""The memory of the fake server: history rows, events and erased customers.

Rows are only appended, as in FeatureHub. Behavioral and derived values are computed when events are stored, and stay as
they are until the next one: nothing decays, and no event leaves a window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from featurehub_client.sent import NewEvent
from featurehub_client.testing.formulas import (
    behavioral_features,
    counts_of,
    derived_features,
    in_window,
)
from featurehub_client.testing.refusals import Refused
from featurehub_client.testing.registry import BEHAVIORAL, DERIVED, VERSION, Registry

ERASED = "This customer was erased: no data of this customer is accepted while the tombstone exists."


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The values of one type that a customer has from `timestamp` on."""

    number: int
    customer_id: str
    feature_type: str
    features: Mapping[str, float]
    metadata: Mapping[str, Any]
    timestamp: datetime
    recorded_at: datetime

    def as_json(self, *, is_recorded: bool = False) -> dict[str, Any]:
        """Return the row as the API answers it, in the history with the moment at which it was stored."""
        recorded = {"recorded_at": self.recorded_at} if is_recorded else {}
        return {
            "customer_id": self.customer_id, "features": self.features, "timestamp": self.timestamp,
            "feature_type": self.feature_type, "version": VERSION, "metadata": self.metadata, **recorded,
        }  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Store:
    """Rows and events of all customers."""

    registry: Registry
    rows: list[Row] = field(default_factory=list)
    events: dict[str, dict[tuple[str, datetime], NewEvent]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=count)

    # --- Reads --------------------------------------------------------------------------------------------------------

    def rows_of(self, customer_id: str, feature_type: str) -> list[Row]:
        """Return the rows of a customer and type, the newest first."""
        found = [row for row in self.rows if (row.customer_id, row.feature_type) == (customer_id, feature_type)]
        return sorted(found, key=lambda row: (row.timestamp, row.number), reverse=True)

    def held(
        self, customer_id: str, feature_type: str, *, at: datetime | None = None, known_at: datetime | None = None
    ) -> Row | None:
        """Return the row that holds at a moment, now by default, of those that were stored by `known_at`."""
        for row in self.rows_of(customer_id, feature_type):
            if (at is None or row.timestamp <= at) and (known_at is None or row.recorded_at <= known_at):
                return row
        return None

    def customers(self) -> list[str]:
        """Return the ids of the customers of whom something is known, sorted."""
        return sorted({row.customer_id for row in self.rows} | self.events.keys())

    # --- Writes -------------------------------------------------------------------------------------------------------

    def write(
        self,
        customer_id: str,
        features: Mapping[str, float],
        *,
        feature_type: str,
        metadata: Mapping[str, Any] | None = None,
        timestamp: datetime | None = None,
    ) -> tuple[Row, bool]:
        """Set the named values over those that hold at `timestamp`. Return the row that holds, and whether it is new.

        Raise Refused for a customer who was erased.
        """
        self.refuse_erased(customer_id)
        now = datetime.now(UTC)
        moment = min(timestamp or now, now)
        before = self.held(customer_id, feature_type, at=moment)
        merged = {**(before.features if before else {}), **{name: float(value) for name, value in features.items()}}
        kept = metadata if metadata is not None else (before.metadata if before else {})
        is_same = before is not None and before.features == merged and before.metadata == kept
        if before is not None and is_same:
            return before, False
        row = Row(
            number=next(self.numbers), customer_id=customer_id, feature_type=feature_type, features=merged,
            metadata=kept, timestamp=moment, recorded_at=now,
        )  # fmt: skip
        self.rows.append(row)
        return row, True

    def refuse_erased(self, customer_id: str) -> None:
        """Raise Refused for a customer who was erased."""
        if customer_id in self.erased:
            raise Refused(ERASED, code="erased", attr="customer_id")

    def store(self, events: Sequence[NewEvent]) -> dict[str, Any]:
        """Store checked events, and compute the values of their customers. Return the answer."""
        refused = [place for place, event in enumerate(events) if event.customer_id in self.erased]
        taken = [event for event in events if event.customer_id not in self.erased]
        accepted = 0
        for event in taken:
            of_customer = self.events.setdefault(event.customer_id, {})
            key = (event.event_id, event.timestamp)
            accepted += key not in of_customer
            of_customer.setdefault(key, event)
        for customer_id in dict.fromkeys(event.customer_id for event in taken):
            self.compute(customer_id)
        answer: dict[str, Any] = {"accepted": accepted, "duplicates": len(taken) - accepted}
        if refused:
            answer["refused"] = [{"index": place, "reason": "erased"} for place in refused]
        return answer

    def compute(self, customer_id: str) -> None:
        """Compute a customer's behavioral and derived values from the events so far."""
        now = datetime.now(UTC)
        events = list(self.events[customer_id].values())
        behavioral = behavioral_features(events, weights=self.registry.weights, as_of=now)
        activity = dict(counts_of(in_window(events, as_of=now)))
        metadata = {"weight_set": 1, "activity": activity}
        self.write(customer_id, behavioral, feature_type=BEHAVIORAL, metadata=metadata, timestamp=now)
        self.write(customer_id, derived_features(behavioral), feature_type=DERIVED, timestamp=now)

    def erase(self, customer_id: str) -> dict[str, Any]:
        """Erase a customer. Return the receipt."""
        left = [row for row in self.rows if row.customer_id != customer_id]
        events = self.events.pop(customer_id, {})
        erased = len(self.rows) - len(left)
        self.rows = left
        self.erased.add(customer_id)
        return {
            "customer_id": customer_id, "erased_at": datetime.now(UTC), "events": len(events),
            "history_rows": erased, "redis_keys": int(bool(erased)), "done": True,
        }  # fmt: skip
