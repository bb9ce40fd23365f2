"""The reference engine: the activity of one customer from a list of events, in plain Python.

Written to be read; tests compare the other engines with it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from itertools import count
from typing import Any

import numpy as np

from events.event_types import EVENT_TYPES, PURCHASE
from events.validation import NewEvent
from featurehub.lib.clock import microseconds
from features.formulas.activity import NEVER, OTHER_TYPES, Activity, Windowed
from features.formulas.windowed import (
    COUNT,
    DISTINCT,
    LARGEST_DECAYING,
    LAST,
    MAX,
    MEAN,
    MOST_HALF_LIVES,
    SMALLEST_DECAYING,
    WindowedFeature,
)

LARGEST_DOUBLE = Decimal(repr(1.7976931348623157e308))
# Enough to add doubles exactly: 309 digits before the decimal point, and 324 + 17 after it.
EXACT_DIGITS = 700


def aggregate(
    events: Iterable[NewEvent],
    *,
    customer_id: str,
    as_of: datetime,
    window_days: int,
    features: Sequence[WindowedFeature] = (),
) -> Activity:
    """Return the activity of one customer from events with as_of − window ≤ timestamp ≤ as_of.

    Of events with the same event_id and timestamp only the first is counted. An event without an id is no duplicate.
    """
    counted = distinct(events)
    oldest = as_of - timedelta(days=window_days)
    window = [event for event in counted if oldest <= event.timestamp <= as_of]
    purchases = [event for event in window if event.event_type == PURCHASE]
    kinds: Counter[str] = Counter(event.event_type for event in window)
    categories = Counter(event.category for event in window if event.category is not None)
    sessions = session_lengths(window)
    record = {
        **{name: kinds[name] for name in EVENT_TYPES},
        OTHER_TYPES: {name: number for name, number in kinds.items() if name not in EVENT_TYPES},
        "purchase_amount": exact_sum(event.amount for event in purchases if event.amount is not None),
        "last_purchase_us": max((microseconds(event.timestamp) for event in purchases), default=NEVER),
        "first_event_us": min((microseconds(event.timestamp) for event in window), default=NEVER),
        "sessions": len(sessions),
        "session_us": sum(sessions),
        "categorised_events": categories.total(),
        "top_category_events": max(categories.values(), default=0),
    }
    windowed = {feature.name: windowed_of_customer(feature, counted, as_of=as_of) for feature in features}
    last_event = max((microseconds(event.timestamp) for event in window), default=NEVER)
    activity = Activity.from_records([customer_id], [record])
    return replace(activity, last_event_us=np.array([last_event]), windowed=windowed)


def distinct(events: Iterable[NewEvent]) -> list[NewEvent]:
    """Return the events without duplicates: the first of each event_id and timestamp."""
    anonymous = count()
    first: dict[object, NewEvent] = {}
    for event in events:
        key = (event.event_id, event.timestamp) if event.event_id is not None else next(anonymous)
        first.setdefault(key, event)
    return list(first.values())


def session_lengths(window: Iterable[NewEvent]) -> list[int]:
    """Return last − first event of each session, in microseconds."""
    sessions: dict[str, list[int]] = defaultdict(list)
    for event in window:
        if event.session_id is not None:
            sessions[event.session_id].append(microseconds(event.timestamp))
    return [max(moments) - min(moments) for moments in sessions.values()]


def exact_sum(amounts: Iterable[float], *, divided_by: int = 1) -> float:
    """Return the sum of the amounts, divided by `divided_by`, rounded once.

    The shortest decimals of the amounts are added. The result is cut to the largest double.
    """
    with localcontext(prec=EXACT_DIGITS):
        total = sum((Decimal(repr(amount)) for amount in amounts), Decimal(0)) / divided_by
        return float(max(min(total, LARGEST_DOUBLE), -LARGEST_DOUBLE))


# --- Windowed features ------------------------------------------------------------------------------------------------
def windowed_of_customer(feature: WindowedFeature, events: Iterable[NewEvent], *, as_of: datetime) -> Windowed:
    """Return a windowed feature of one customer, as columns of length 1."""
    oldest = as_of - feature.window
    usable = [
        (event.timestamp, value)
        for event in events
        if oldest <= event.timestamp <= as_of
        and feature.event_type in (None, event.event_type)
        and feature.category in (None, event.category)
        and (value := value_of(event, feature=feature)) is not None
    ]
    moments = [microseconds(moment) for moment, _ in usable]
    return Windowed(
        value=np.array([aggregated(feature, usable, as_of=as_of) if usable else 0.0]),
        first_us=np.array([min(moments, default=NEVER)], dtype=np.int64),
        last_us=np.array([max(moments, default=NEVER)], dtype=np.int64),
    )


def value_of(event: NewEvent, *, feature: WindowedFeature) -> Any:
    """Return the value that an event contributes to a feature, None where it has no usable one.

    That is 1 without a metadata key, a number, or for a distinct count a string or number.
    """
    key = feature.metadata_key
    if key is None:
        return 1
    value = {"amount": event.amount, "category": event.category}.get(key, (event.metadata or {}).get(key))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (feature.kind == DISTINCT and isinstance(value, str)):
        return value
    return None


def aggregated(feature: WindowedFeature, usable: Sequence[tuple[datetime, Any]], *, as_of: datetime) -> float:
    """Return the aggregate of usable values, pairs (timestamp, value), of which there is at least one.

    `as_of` is the moment at which a half-life measures their ages.
    """
    values = [value for _, value in usable]
    if feature.kind == DISTINCT:
        return float(len({value if isinstance(value, str) else Decimal(repr(value)) for value in values}))
    if feature.kind == LAST:
        return as_double(max(usable)[1])
    if feature.kind == MAX:
        return as_double(max(values))
    if feature.half_life_days is not None:
        return decayed_aggregate(feature, usable, as_of=as_of)
    return exact_sum(values, divided_by=len(values) if feature.kind == MEAN else 1)


def decayed_aggregate(feature: WindowedFeature, usable: Sequence[tuple[datetime, Any]], *, as_of: datetime) -> float:
    """Return a count, sum or mean in which an event of age a has the weight 0.5 ** (a / half_life)."""
    assert feature.half_life_days is not None
    ages = [(as_of - moment) / timedelta(days=1) / feature.half_life_days for moment, _ in usable]
    weights = [0.5 ** min(age, MOST_HALF_LIVES) for age in ages]
    if feature.kind == COUNT:
        return math.fsum(weights)
    total = math.fsum(weight * bounded(value) for weight, (_, value) in zip(weights, usable, strict=True))
    return total / math.fsum(weights) if feature.kind == MEAN else total


def bounded(value: float) -> float:
    """Return the number within the bounds in which weighting neither overflows nor underflows.

    A number too close to zero becomes 0.
    """
    return 0.0 if abs(value) < SMALLEST_DECAYING else float(max(min(value, LARGEST_DECAYING), -LARGEST_DECAYING))


def as_double(value: float) -> float:
    """Return the number as a double, cut to the largest one.

    Whole numbers may exceed every double.
    """
    return float(max(min(value, int(LARGEST_DOUBLE)), -int(LARGEST_DOUBLE)))
