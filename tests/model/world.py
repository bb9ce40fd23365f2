"""The model: what FeatureHub has to show, in plain Python. It knows neither PostgreSQL nor Redis nor a formula's code.

A customer's behavioral values follow from three things: the events that had arrived when they were last read (`counted`
at `read_at`), the weights, and the moment that they are shown for. Everything else is when these three change.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

DAY = timedelta(days=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
WINDOW = 30 * DAY
TTL, TTL_OF_NOTHING = timedelta(hours=1), timedelta(minutes=1)
# For this long a hash refuses what was read before an erasure.
REFUSAL = timedelta(hours=1)
CART_LIVES = timedelta(hours=6)
WRITTEN = {"customer": ("loyalty_tier", "tenure_days"), "contextual": ("cart_value", "items_in_cart")}
COUNTED = {
    "page_view": "page_views_30d", "email_open": "email_opens_30d", "email_click": "email_clicks_30d",
    "form_submit": "form_submits_30d", "purchase": "purchases_30d", "login": "login_frequency",
}  # fmt: skip
# Event type → (weight, norm).
Numbers = dict[str, tuple[float, float]]
FIRST_NUMBERS: Numbers = {
    "page_view": (0.3, 100.0), "email_open": (0.2, 50.0), "email_click": (0.0, 20.0), "form_submit": (0.2, 20.0),
    "purchase": (0.3, 10.0), "login": (0.1, 30.0),
}  # fmt: skip
MONETARY_NORM = 1000.0


class Happened(NamedTuple):
    """An event."""

    event_id: str
    customer_id: str
    event_type: str
    at: datetime
    session: str | None
    amount: float
    category: str | None


class Trend(NamedTuple):
    """The windowed feature that a version adds: a count of page views, with a half-life where it has one."""

    name: str
    window: timedelta
    half_life: float | None

    def takes(self, event: Happened, *, at: datetime) -> bool:
        return event.event_type == "page_view" and at - self.window <= event.at <= at

    def weight(self, event: Happened, *, at: datetime) -> float:
        return 1.0 if self.half_life is None else 0.5 ** ((at - event.at) / DAY / self.half_life)


@dataclass
class Version:
    """A behavioral version: its state, its own feature, its weights, and those it had, newest last."""

    number: str
    state: str
    trend: Trend | None
    numbers: Numbers
    earlier: list[tuple[int, Numbers]] = field(default_factory=list)
    active_id: int = 0
    activated_at: datetime = LONG_AGO
    is_computed: bool = True


@dataclass
class Computed:
    """The state of a customer's last computation, of the versions that there were by then."""

    counted: list[Happened]
    read_at: datetime
    confirmed_at: datetime
    numbers: dict[str, Numbers]
    newest_weights_of: datetime

    def values(self, version: Version, *, at: datetime) -> dict[str, float]:
        """Return the version's values for the moment `at`."""
        window = [event for event in self.counted if event.at >= self.read_at - WINDOW]
        values = behavioral(window, numbers=self.numbers[version.number], at=at)
        trend = version.trend
        if trend is not None:
            taken = [event for event in self.counted if trend.takes(event, at=self.read_at)]
            values[trend.name] = sum(trend.weight(event, at=at) for event in taken)
        return values

    def leaves_at(self, trends: Iterable[Trend]) -> datetime | None:
        """Return the moment after which the first event has left a window; None without an event in any."""
        ends = [event.at + WINDOW for event in self.counted if event.at >= self.read_at - WINDOW]
        for trend in trends:
            ends += [event.at + trend.window for event in self.counted if trend.takes(event, at=self.read_at)]
        return min(ends, default=None)


def behavioral(window: list[Happened], *, numbers: Numbers, at: datetime) -> dict[str, float]:
    """Return the formulas of the contract's section 4 on the events of a window."""
    n = Counter(event.event_type for event in window)
    purchases = [event for event in window if event.event_type == "purchase"]
    categories = Counter(event.category for event in window if event.category is not None)
    sessions: dict[str, list[datetime]] = {}
    for event in window:
        if event.session is not None:
            sessions.setdefault(event.session, []).append(event.at)
    lengths = [(max(moments) - min(moments)).total_seconds() for moments in sessions.values()]
    amount = sum(event.amount for event in purchases)
    last = max((event.at for event in purchases), default=None)
    return {
        **{name: float(n[event_type]) for event_type, name in COUNTED.items()},
        "engagement_score": min(1.0, sum(w * min(n[name] / norm, 1.0) for name, (w, norm) in numbers.items())),
        "conversion_rate": n["form_submit"] / n["page_view"] if n["page_view"] else 0.0,
        "session_duration": sum(lengths) / len(lengths) if lengths else 0.0,
        "recency_score": 0.0 if last is None else max(0.0, 1.0 - (at - last) / WINDOW),
        "frequency_score": min(n["purchase"] / numbers["purchase"][1], 1.0),
        "purchase_amount_30d": amount,
        "monetary_score": min(amount / MONETARY_NORM, 1.0),
        "category_preferences": max(categories.values(), default=0) / max(categories.total(), 1),
    }


BEHAVIORAL = tuple(behavioral([], numbers=FIRST_NUMBERS, at=LONG_AGO))


@dataclass
class Customer:
    """What is known of a customer. `written`: type → rows of (timestamp, values), in the order of their recording."""

    events: dict[tuple[str, datetime], Happened] = field(default_factory=dict)
    marks: list[datetime] = field(default_factory=list)
    computed: Computed | None = None
    written: dict[str, list[tuple[datetime, dict[str, float]]]] = field(default_factory=dict)
    is_registered: bool = False
    is_erased: bool = False
    cached_until: datetime | None = None
    is_cache_known: bool = True

    def held(self, feature_type: str, *, at: datetime) -> tuple[datetime, dict[str, float]] | None:
        """Return the row that holds at a moment: of the last timestamp, and of several the last recorded one."""
        rows = [(moment, n) for n, (moment, _) in enumerate(self.written.get(feature_type, [])) if moment <= at]
        return self.written[feature_type][max(rows)[1]] if rows else None


class World:
    """Everything that was done, and what follows from it."""

    def __init__(self, customer_ids: Iterable[str], *, now: datetime) -> None:
        self.now = now
        self.customers = {customer_id: Customer() for customer_id in customer_ids}
        self.versions = {"1.0": Version("1.0", "live", None, FIRST_NUMBERS)}
        self.live, self.next_live = "1.0", "1.0"
        self.switches_at = now - 2 * TTL
        self.renewal_due = now
        self.activated_at = LONG_AGO
        self.refused_until: dict[str, datetime] = {}

    # --- Who is who ---------------------------------------------------------------------------------------------------
    def readable(self) -> list[Version]:
        return [version for version in self.versions.values() if version.state != "retired"]

    def trends(self) -> list[Trend]:
        return [version.trend for version in self.readable() if version.trend is not None]

    def go_on(self, now: datetime) -> None:
        self.now = now
        if self.switches_at <= now:
            self.live = self.next_live
        for customer in self.customers.values():
            if customer.cached_until is not None and customer.cached_until <= now:
                customer.cached_until = None

    # --- What is done -------------------------------------------------------------------------------------------------
    def ingest(self, events: Iterable[Happened]) -> tuple[int, int, list[int]]:
        """Return the numbers of accepted events and duplicates, and the indexes of the refused."""
        accepted, duplicates, refused, marked = 0, 0, [], set()
        for index, event in enumerate(events):
            customer = self.customers[event.customer_id]
            if customer.is_erased:
                refused.append(index)
            elif (event.event_id, event.at) in customer.events:
                duplicates += 1
            else:
                customer.events[event.event_id, event.at] = event
                accepted += 1
                marked.add((event.customer_id, max(event.at, self.now)))
        for customer_id, due in marked:
            self.customers[customer_id].marks.append(due)
        return accepted, duplicates, refused

    def write(self, customer_id: str, feature_type: str, values: dict[str, float], *, at: datetime) -> dict[str, float]:
        """Merge the values over the row that holds at the moment, and return the result."""
        customer = self.customers[customer_id]
        held = customer.held(feature_type, at=at)
        merged = {**(held[1] if held else {}), **values}
        if held is None or held[1] != merged:
            customer.written.setdefault(feature_type, []).append((at, merged))
        customer.is_registered = True
        self.publish(customer)
        return merged

    def compute_from_events(self, customer: Customer) -> None:
        self.compute(customer, counted=[event for event in customer.events.values() if event.at <= self.now])

    def compute_from_history(self, customer: Customer) -> None:
        """Compute with the weights of now from what was counted; from the events where a version has no values yet."""
        if customer.computed is None:
            return
        if any(version.number not in customer.computed.numbers for version in self.readable()):
            self.compute_from_events(customer)
        else:
            self.compute(customer, counted=customer.computed.counted, read_at=customer.computed.read_at)

    def compute(self, customer: Customer, *, counted: list[Happened], read_at: datetime | None = None) -> None:
        numbers = {version.number: version.numbers for version in self.readable()}
        newest = max(version.activated_at for version in self.versions.values())
        customer.computed = Computed(counted, read_at or self.now, self.now, numbers, newest)
        customer.is_registered = True
        self.publish(customer)

    def publish(self, customer: Customer) -> None:
        customer.cached_until = self.now + TTL
        customer.is_cache_known = True

    def settle_marks(self) -> None:
        for customer_id, customer in self.customers.items():
            due = [mark for mark in customer.marks if mark <= self.now]
            if due and customer.is_erased:
                customer.cached_until = None
                self.refused_until[customer_id] = self.now + REFUSAL
            elif due:
                self.compute_from_events(customer)
            customer.marks = [mark for mark in customer.marks if mark > self.now]

    def refresh(self) -> None:
        """Compute those whom an event has left; where it is time, renew the others who have events in a window."""
        active: list[Customer] = []
        for customer in self.customers.values():
            leaves_at = customer.computed and customer.computed.leaves_at(self.trends_of(customer))
            if leaves_at is not None and leaves_at < self.now:
                self.compute_from_events(customer)
                leaves_at = customer.computed and customer.computed.leaves_at(self.trends_of(customer))
            if leaves_at is not None:
                active.append(customer)
        if self.now >= self.renewal_due:
            self.renewal_due = self.now + TTL / 2
            for customer in active:
                assert customer.computed is not None
                if customer.computed.confirmed_at < self.now - DAY:
                    self.compute_from_history(customer)
                self.publish(customer)

    def trends_of(self, customer: Customer) -> list[Trend]:
        """Return the windowed features that the customer's last computation knew."""
        assert customer.computed is not None
        versions = [self.versions[number] for number in customer.computed.numbers]
        return [version.trend for version in versions if version.trend is not None]

    def recompute_everybody(self) -> None:
        for customer in self.customers.values():
            if customer.is_registered or (customer.marks and not customer.is_erased):
                self.compute_from_events(customer)

    def rescore(self) -> None:
        """Compute whoever was not computed under the weights of now."""
        for customer in self.customers.values():
            if customer.computed is not None and customer.computed.newest_weights_of < self.activated_at:
                self.compute_from_history(customer)

    def erase(self, customer_id: str) -> None:
        self.customers[customer_id] = Customer(is_erased=True, marks=[self.now + timedelta(seconds=15)])
        self.refused_until[customer_id] = self.now + REFUSAL

    def lose_cache(self) -> None:
        for customer in self.customers.values():
            customer.cached_until, customer.is_cache_known = None, True
        self.refused_until.clear()

    # --- What is shown ------------------------------------------------------------------------------------------------
    def behavioral_values(self, customer_id: str, number: str, *, at: datetime) -> dict[str, float]:
        """Return a version's values for a moment; empty where it has none."""
        computed = self.customers[customer_id].computed
        if computed is None or number not in computed.numbers:
            return {}
        return computed.values(self.versions[number], at=at)

    def rfm_score(self, customer_id: str, *, at: datetime) -> dict[str, float]:
        """Return the derived feature, which is computed from behavioral 1.0."""
        values = self.behavioral_values(customer_id, "1.0", at=at)
        parts = [values[name] for name in ("recency_score", "frequency_score", "monetary_score") if values]
        return {"rfm_score": sum(parts) / 3.0} if parts else {}

    def written_values(self, customer_id: str) -> dict[str, Any]:
        """Return name → value, or the reason why it is missing."""
        shown: dict[str, Any] = {}
        for feature_type, names in WRITTEN.items():
            held = self.customers[customer_id].held(feature_type, at=self.now)
            has_expired = held is not None and feature_type == "contextual" and self.now - held[0] > CART_LIVES
            for name in names:
                value = None if held is None else held[1].get(name)
                shown[name] = "no_value" if value is None else "expired" if has_expired else value
        return shown

    def source(self, customer_id: str) -> str | None:
        """Return what answers now. None where both may: a while after an erasure and after a switch of versions."""
        customer = self.customers[customer_id]
        if self.now < self.switches_at + TTL:
            customer.is_cache_known = False
        if not customer.is_cache_known or self.now < self.refused_until.get(customer_id, self.now):
            return None
        return "database" if customer.cached_until is None else "cache"

    def refill(self, customer_id: str) -> None:
        """Note that a read missed the cache, and has filled it."""
        customer = self.customers[customer_id]
        has_any = customer.computed is not None or any(customer.written.values())
        customer.cached_until = self.now + (TTL if has_any else TTL_OF_NOTHING)
        customer.is_cache_known = True
