"""The behavioral 1.0 formulas of the fake server, for one customer: docs/contract.md, section 4."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from featurehub_client.sent import NewEvent

WINDOW = timedelta(days=30)
# event type → (weight, norm)
FIRST_WEIGHTS = {
    "page_view": (0.3, 100.0),
    "email_open": (0.2, 50.0),
    "email_click": (0.0, 20.0),
    "form_submit": (0.2, 20.0),
    "purchase": (0.3, 10.0),
    "login": (0.1, 30.0),
}
NO_WEIGHT = (0.0, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The numbers of a weight set: event type → (weight, norm)."""

    numbers: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict(FIRST_WEIGHTS))
    monetary_norm: float = 1000.0

    def weight_of(self, event_type: str) -> float:
        """Return the weight of a type."""
        return self.numbers.get(event_type, NO_WEIGHT)[0]

    def norm_of(self, event_type: str) -> float:
        """Return the norm of a type, a number of events."""
        return self.numbers.get(event_type, NO_WEIGHT)[1]

    def with_changes(self, changes: Mapping[str, Mapping[str, float]], *, monetary_norm: float | None) -> "Weights":
        """Return the weights with some numbers in place of theirs."""
        changed = {
            name: (each.get("weight", self.weight_of(name)), each.get("norm", self.norm_of(name)))
            for name, each in changes.items()
        }
        norm = self.monetary_norm if monetary_norm is None else monetary_norm
        return Weights(numbers={**self.numbers, **changed}, monetary_norm=norm)


def in_window(events: Sequence[NewEvent], *, as_of: datetime) -> list[NewEvent]:
    """Return the events of the window that ends at `as_of`."""
    return [event for event in events if as_of - WINDOW <= event.timestamp <= as_of]


def counts_of(events: Sequence[NewEvent]) -> Counter[str]:
    """Return the number of events of each type."""
    return Counter(event.event_type for event in events)


def behavioral_features(events: Sequence[NewEvent], *, weights: Weights, as_of: datetime) -> dict[str, float]:
    """Return the behavioral values of one customer's events at `as_of`."""
    window = in_window(events, as_of=as_of)
    counts = counts_of(window)
    purchases = [event for event in window if event.event_type == "purchase"]
    amount = sum(float((event.metadata or {}).get("amount") or 0.0) for event in purchases)
    last_purchase = max((event.timestamp for event in purchases), default=as_of - WINDOW)
    categories = Counter((event.metadata or {}).get("category") for event in window)
    del categories[None]
    return {
        "engagement_score": min(contributions(counts, weights=weights, names=())["unclamped_score"], 1.0),
        "page_views_30d": float(counts["page_view"]),
        "email_opens_30d": float(counts["email_open"]),
        "email_clicks_30d": float(counts["email_click"]),
        "form_submits_30d": float(counts["form_submit"]),
        "purchases_30d": float(counts["purchase"]),
        "conversion_rate": ratio(counts["form_submit"], counts["page_view"]),
        "login_frequency": float(counts["login"]),
        "session_duration": mean_session(window),
        "recency_score": 1.0 - (as_of - last_purchase) / WINDOW,
        "frequency_score": capped_share(counts["purchase"], norm=weights.norm_of("purchase")),
        "purchase_amount_30d": amount,
        "monetary_score": capped_share(amount, norm=weights.monetary_norm),
        "category_preferences": ratio(max(categories.values(), default=0), categories.total()),
    }


def derived_features(behavioral: Mapping[str, float]) -> dict[str, float]:
    """Return the derived values that follow from the behavioral ones."""
    scores = ("recency_score", "frequency_score", "monetary_score")
    return {"rfm_score": sum(behavioral[name] for name in scores) / len(scores)}


def contributions(counts: Mapping[str, int], *, weights: Weights, names: Sequence[str]) -> dict[str, Any]:
    """Return each type's part in the score, of `names` and the types that count; they add up to `unclamped_score`."""
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys([*names, *FIRST_WEIGHTS, *sorted(counts)]):
        normalised = capped_share(counts.get(name, 0), norm=weights.norm_of(name))
        rows.append(
            {
                "event_type": name, "count": counts.get(name, 0), "norm": weights.norm_of(name),
                "normalised": normalised, "weight": weights.weight_of(name),
                "contribution": weights.weight_of(name) * normalised,
            }
        )  # fmt: skip
    return {"contributions": rows, "unclamped_score": float(sum(row["contribution"] for row in rows))}


def mean_session(events: Sequence[NewEvent]) -> float:
    """Return the mean of (last − first event) over the sessions, in seconds; 0 without a session."""
    sessions: dict[str, list[datetime]] = defaultdict(list)
    for event in events:
        if event.session_id is not None:
            sessions[event.session_id].append(event.timestamp)
    seconds = sum((max(moments) - min(moments)).total_seconds() for moments in sessions.values())
    return ratio(seconds, len(sessions))


def capped_share(value: float, *, norm: float) -> float:
    """Return min(value / norm, 1)."""
    return min(value, norm) / norm


def ratio(part: float, whole: float) -> float:
    """Return part / whole; 0 where the whole is 0."""
    return part / whole if whole else 0.0
