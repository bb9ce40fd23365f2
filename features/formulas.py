"""The behavioral formulas. Pure: columns in, columns out; one customer is a batch of one.

Source: the contract's section 3. Every engine fills the same `Activity` columns with whole numbers, and the
divisions happen here only, so all engines give the same doubles.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from events.event_types import EMAIL_CLICK, EMAIL_OPEN, EVENT_TYPES, FORM_SUBMIT, LOGIN, PAGE_VIEW, PURCHASE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = int(np.iinfo(np.int64).min)
LARGEST = float(np.finfo(np.float64).max)
MICROSECONDS_PER_SECOND = 1_000_000
MICROSECONDS_PER_DAY = 86_400 * MICROSECONDS_PER_SECOND
# Values that change with time alone, without an event coming or leaving.
TIME_DEPENDENT = ("recency_score",)
BEHAVIORAL = (
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
RFM_SCORE = "rfm_score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Per event type a weight ≥ 0 and a norm > 0 (events per window); `monetary_norm` in units of amount."""

    weight: Mapping[str, float]
    norm: Mapping[str, float]
    monetary_norm: float


@dataclass(frozen=True, slots=True)
class Windowed:
    """A windowed feature's columns: its value, and the moments of the first and last event that matched; NEVER: none.

    See `features.windowed`.
    """

    value: Floats
    first_us: Ints
    last_us: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What n customers did in the window: columns of length n, in the order of `customer_ids`.

    Moments and durations are microseconds (moments since 1970 UTC, NEVER where there is none); `session_us` sums
    last − first event over `sessions`; `top_category_events` counts the largest category's events among the
    `categorised_events`. `first_event_us` is the oldest counted event; `windowed` has what operators defined, by name.
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
    windowed: Mapping[str, Windowed] = field(default_factory=dict)

    COLUMNS = (
        "last_purchase_us",
        "first_event_us",
        "sessions",
        "session_us",
        "categorised_events",
        "top_category_events",
    )

    @classmethod
    def from_records(cls, customer_ids: list[str], records: list[Mapping[str, Any]]) -> Self:
        """Columns from a mapping a customer, such as `to_records` gives."""

        names = (*EVENT_TYPES, "purchase_amount", *cls.COLUMNS)
        return cls.from_columns(customer_ids, {name: [record[name] for record in records] for name in names})

    @classmethod
    def from_columns(
        cls,
        customer_ids: list[str],
        columns: Mapping[str, Sequence[float]],
        *,
        windowed: Mapping[str, Windowed] | None = None,
    ) -> Self:
        """Columns from sequences by name, such as rows of a database, transposed."""
        others: dict[str, Any] = {name: np.array(columns[name], dtype=np.int64) for name in cls.COLUMNS}
        return cls(
            customer_ids=customer_ids,
            counts={name: np.array(columns[name], dtype=np.int64) for name in EVENT_TYPES},
            purchase_amount=np.array(columns["purchase_amount"], dtype=np.float64),
            windowed=windowed or {},
            **others,
        )

    def of(self, customer_ids: Collection[str]) -> Self:
        """The activity of those of its customers that are among `customer_ids`."""
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
            **{name: getattr(self, name)[rows] for name in self.COLUMNS},
        )

    def to_records(self) -> list[dict[str, int | float]]:
        """A mapping a customer: JSON types only, so that it can be kept beside the values."""
        columns: dict[str, list[Any]] = {name: self.counts[name].tolist() for name in EVENT_TYPES}
        columns["purchase_amount"] = self.purchase_amount.tolist()
        columns |= {name: getattr(self, name).tolist() for name in self.COLUMNS}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def normalised(counts: Mapping[str, Ints], *, weights: Weights) -> dict[str, Floats]:
    """min(n / norm, 1) for each event type: columns in [0, 1]."""
    return {name: share(counts[name], norm=weights.norm[name]) for name in EVENT_TYPES}


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


def behavioral(activity: Activity, *, weights: Weights, as_of_us: int, window_days: int) -> dict[str, Floats]:
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
        "monetary_score": share(activity.purchase_amount, norm=weights.monetary_norm),
        "category_preferences": ratio(activity.top_category_events, activity.categorised_events),
    }


def rfm_score(recency: Floats, *, frequency: Floats, monetary: Floats) -> Floats:
    """(recency + frequency + monetary) / 3: derived 1.0."""
    return (recency + frequency + monetary) / 3.0


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def share(value: Ints | Floats, *, norm: float) -> Floats:
    """min(value / norm, 1); the smaller is taken first, because a tiny norm would overflow the division."""
    capped: Floats = np.minimum(value, norm) / norm
    return capped


def ratio(part: Ints, whole: Ints) -> Floats:
    """part / whole; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole != 0)
