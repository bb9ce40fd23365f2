"""The behavioral 1.0 formulas: activity × weights → values."""

from collections.abc import Mapping
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

# Values that change with time alone, without an event coming or leaving.
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
    """Per event type a weight ≥ 0 and a norm > 0 (events per window); `monetary_norm` in units of amount."""

    weight: Mapping[str, float]
    norm: Mapping[str, float]
    monetary_norm: float


def normalised(counts: Mapping[str, Ints], *, weights: Weights) -> dict[str, Floats]:
    """min(n / norm, 1) for each event type: columns in [0, 1]."""
    return {name: capped_share(counts[name], norm=weights.norm[name]) for name in EVENT_TYPES}


def unclamped_score(counts: Mapping[str, Ints], *, weights: Weights) -> Floats:
    """Σ weight · min(n / norm, 1), added in the order of EVENT_TYPES so that it is the same bits everywhere.

    Finite, whatever the weights: at most the largest double.
    """
    parts = normalised(counts, weights=weights)
    total: Floats = np.zeros(len(counts[PAGE_VIEW]))
    with np.errstate(over="ignore"):
        for name in EVENT_TYPES:
            total = total + weights.weight[name] * parts[name]
    return np.minimum(total, LARGEST)


def recency_score(last_purchase_us: Ints, *, as_of_us: int | Ints, window_days: int) -> Floats:
    """1 − (as_of − last purchase) / window; 0 without a purchase in the window."""
    bought = last_purchase_us != NEVER
    age = np.where(bought, as_of_us - np.where(bought, last_purchase_us, 0), 0)
    score = 1.0 - age / (window_days * MICROSECONDS_PER_DAY)
    return np.where(bought, np.maximum(score, 0.0), 0.0)


def behavioral_features(activity: Activity, *, weights: Weights, as_of_us: int, window_days: int) -> dict[str, Floats]:
    """The behavioral 1.0 values: a column of finite doubles for each name in BEHAVIORAL."""
    counts = activity.counts
    purchases = normalised(counts, weights=weights)[PURCHASE]
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
        "frequency_score": purchases,
        "purchase_amount_30d": activity.purchase_amount,
        "monetary_score": capped_share(activity.purchase_amount, norm=weights.monetary_norm),
        "category_preferences": ratio(activity.top_category_events, activity.categorised_events),
    }


def capped_share(value: Ints | Floats, *, norm: float) -> Floats:
    """min(value / norm, 1); the smaller is taken first, because a tiny norm would overflow the division."""
    capped: Floats = np.minimum(value, norm) / norm
    return capped


def ratio(part: Ints, whole: Ints) -> Floats:
    """part / whole; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole != 0)
