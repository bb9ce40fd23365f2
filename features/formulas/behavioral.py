"""The behavioral 1.0 formulas: from activity and weights to values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from events.event_types import EMAIL_CLICK, EMAIL_OPEN, EVENT_TYPES, FORM_SUBMIT, LOGIN, PAGE_VIEW, PURCHASE
from features.formulas.activity import (
    LARGEST,
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_SECOND,
    NEVER,
    Activity,
    Floats,
    Ints,
)

# The numbers of an event type that a weight set has no row for.
NO_WEIGHT, USUAL_NORM = 0.0, 100.0
PLACES = {name: place for place, name in enumerate(EVENT_TYPES)}
# Features that decay: their values change with time, without an event that arrives or leaves.
TIME_DEPENDENT = ("recency_score",)
BEHAVIORAL_FEATURES = (
    "engagement_score",
    "page_views_30d",
    "email_opens_30d",
    "email_clicks_30d",
    "form_submits_30d",
    "purchases_30d",
    "conversion_rate",
    "login_frequency",
    "session_duration",
    "recency_score",
    "frequency_score",
    "purchase_amount_30d",
    "monetary_score",
    "category_preferences",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The numbers of a weight set: for each event type a weight ≥ 0 and a norm > 0.

    A type that the set says nothing of, such as one that was registered later, has NO_WEIGHT and USUAL_NORM. A norm is
    a number of events in the window. `monetary_norm` is an amount, in the unit of the purchases' amounts.
    """

    weight: Mapping[str, float]
    norm: Mapping[str, float]
    monetary_norm: float

    def weight_of(self, event_type: str) -> float:
        return self.weight.get(event_type, NO_WEIGHT)

    def norm_of(self, event_type: str) -> float:
        return self.norm.get(event_type, USUAL_NORM)


def in_score_order(event_types: Iterable[str]) -> list[str]:
    """Return the types in the order in which their contributions are added: the first ones, then the others by name."""
    return sorted(event_types, key=lambda name: (PLACES.get(name, len(PLACES)), name))


def normalised(counts: Mapping[str, Ints], *, weights: Weights) -> dict[str, Floats]:
    """Return min(count / norm, 1) for each event type that is counted: columns in [0, 1]."""
    return {name: capped_share(counts[name], norm=weights.norm_of(name)) for name in in_score_order(counts)}


def unclamped_score(counts: Mapping[str, Ints], *, weights: Weights) -> Floats:
    """Return Σ weight × min(count / norm, 1), the engagement score before the cut at 1.

    The terms are added in the order of `in_score_order`, so that the result is the same to the last bit everywhere. It
    is finite for all weights: at most the largest double.
    """
    parts = normalised(counts, weights=weights)
    total: Floats = np.zeros(len(counts[PAGE_VIEW]))
    with np.errstate(over="ignore"):
        for name, part in parts.items():
            total = total + weights.weight_of(name) * part
    return np.minimum(total, LARGEST)


def recency_score(last_purchase_us: Ints, *, as_of_us: int | Ints, window_days: int) -> Floats:
    """Return 1 − (as_of − last purchase) / window; 0 without a purchase in the window.

    Moments are microseconds since 1970 UTC; `last_purchase_us` is NEVER where there is no purchase.
    """
    bought = last_purchase_us != NEVER
    age = np.where(bought, as_of_us - np.where(bought, last_purchase_us, 0), 0)
    score = 1.0 - age / (window_days * MICROSECONDS_PER_DAY)
    return np.where(bought, np.maximum(score, 0.0), 0.0)


def behavioral_features(activity: Activity, *, weights: Weights, as_of_us: int, window_days: int) -> dict[str, Floats]:
    """Return the behavioral 1.0 values: a column of finite doubles for each name in BEHAVIORAL_FEATURES.

    `as_of_us` is in microseconds since 1970 UTC.
    """
    counts = activity.counts
    return {
        "engagement_score": np.minimum(unclamped_score(counts, weights=weights), 1.0),
        "page_views_30d": counts[PAGE_VIEW].astype(np.float64),
        "email_opens_30d": counts[EMAIL_OPEN].astype(np.float64),
        "email_clicks_30d": counts[EMAIL_CLICK].astype(np.float64),
        "form_submits_30d": counts[FORM_SUBMIT].astype(np.float64),
        "purchases_30d": counts[PURCHASE].astype(np.float64),
        "conversion_rate": ratio(counts[FORM_SUBMIT], counts[PAGE_VIEW]),
        "login_frequency": counts[LOGIN].astype(np.float64),
        "session_duration": ratio(activity.session_us, activity.sessions) / MICROSECONDS_PER_SECOND,
        "recency_score": recency_score(activity.last_purchase_us, as_of_us=as_of_us, window_days=window_days),
        "frequency_score": capped_share(counts[PURCHASE], norm=weights.norm_of(PURCHASE)),
        "purchase_amount_30d": activity.purchase_amount,
        "monetary_score": capped_share(activity.purchase_amount, norm=weights.monetary_norm),
        "category_preferences": ratio(activity.top_category_events, activity.categorised_events),
    }


def capped_share(value: Ints | Floats, *, norm: float) -> Floats:
    """Return min(value / norm, 1).

    The minimum is taken before the division, which overflows for a tiny norm.
    """
    capped: Floats = np.minimum(value, norm) / norm
    return capped


def ratio(part: Ints, whole: Ints) -> Floats:
    """Return part / whole; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole != 0)
