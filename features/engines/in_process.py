"""The readable reference: the activity of one customer from a list of events, in plain Python."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from itertools import count

from events.event_types import EVENT_TYPES, PURCHASE
from events.validation import NewEvent
from features.formulas import NEVER, Activity, microseconds
from features.windowed import WindowedFeature

LARGEST = Decimal(repr(1.7976931348623157e308))
# Holds the sum of any doubles exactly: 309 digits before the point, and 324 + 17 behind it.
EXACT_DIGITS = 700


def aggregate(
    events: Iterable[NewEvent],
    *,
    customer_id: str,
    as_of: datetime,
    window_days: int,
    features: Sequence[WindowedFeature] = (),
) -> Activity:
    """The activity of one customer: those of `events` with as_of − window ≤ timestamp ≤ as_of, each counted once.

    Duplicates are events with the same event_id and timestamp; an event without an id is no duplicate.
    """
    oldest = as_of - timedelta(days=window_days)
    window = [event for event in distinct(events) if oldest <= event.timestamp <= as_of]
    purchases = [event for event in window if event.event_type == PURCHASE]
    kinds: Counter[str] = Counter(event.event_type for event in window)
    categories = Counter(event.category for event in window if event.category is not None)
    sessions = session_lengths(window)
    record = {
        **{name: kinds[name] for name in EVENT_TYPES},
        "purchase_amount": exact_sum(event.amount for event in purchases if event.amount is not None),
        "last_purchase_us": max((microseconds(event.timestamp) for event in purchases), default=NEVER),
        "first_event_us": min((microseconds(event.timestamp) for event in window), default=NEVER),
        "sessions": len(sessions),
        "session_us": sum(sessions),
        "categorised_events": categories.total(),
        "top_category_events": max(categories.values(), default=0),
    }
    return Activity.from_records([customer_id], [record])


def distinct(events: Iterable[NewEvent]) -> list[NewEvent]:
    """The first of each event_id and timestamp."""
    anonymous = count()
    first: dict[object, NewEvent] = {}
    for event in events:
        key = (event.event_id, event.timestamp) if event.event_id is not None else next(anonymous)
        first.setdefault(key, event)
    return list(first.values())


def session_lengths(window: Iterable[NewEvent]) -> list[int]:
    """Last − first event of each session, in microseconds."""
    sessions: dict[str, list[int]] = defaultdict(list)
    for event in window:
        if event.session_id is not None:
            sessions[event.session_id].append(microseconds(event.timestamp))
    return [max(moments) - min(moments) for moments in sessions.values()]


def exact_sum(amounts: Iterable[float]) -> float:
    """The sum of the amounts' shortest decimals, rounded once, and at most the largest double."""
    with localcontext(prec=EXACT_DIGITS):
        total = sum((Decimal(repr(amount)) for amount in amounts), Decimal(0))
        return float(min(total, LARGEST))
