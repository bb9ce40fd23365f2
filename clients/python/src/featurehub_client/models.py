"""Shapes of what the API answers.

The names and meanings are those of the OpenAPI schema. With a newer FeatureHub an answer may get further fields, and
reasons, states and sources further values: fields that are not known are passed over, and those values are plain
strings. All moments are in UTC.
"""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what the API answers."""


def cursor_in(address: str | None) -> str | None:
    """Return the cursor in the address of a page; None where there is no page."""
    return None if address is None else parse_qs(urlsplit(address).query)["cursor"][0]


# --- Values -----------------------------------------------------------------------------------------------------------


class FeatureValues(Answer, frozen=True, kw_only=True):
    """The values of a customer that were asked for.

    `features`: name → value; a name without a value has its default, and stands in `missing` with the reason:
    `unknown`, `no_value` or `expired`. `computed_at` is the as-of of the oldest value given, None where there is none.
    `source` is `cache` or `database`.
    """

    customer_id: str
    versions: dict[str, str]
    features: dict[str, float]
    missing: dict[str, str]
    computed_at: datetime | None
    age_seconds: float | None
    source: str
    feature_set: str | None = msgspec.field(default=None, name="set")

    def present(self) -> dict[str, float]:
        """Return the values without the defaults of names that have none."""
        return {name: value for name, value in self.features.items() if name not in self.missing}


class BatchOfValues(Answer, frozen=True, kw_only=True):
    """The values of each customer, in the order asked."""

    results: list[FeatureValues]


class WrittenFeatures(Answer, frozen=True, kw_only=True):
    """The values of one type and version that a customer has from `timestamp` on."""

    customer_id: str
    features: dict[str, float]
    timestamp: datetime
    feature_type: str
    version: str
    metadata: dict[str, Any]


class FeatureVector(Answer, frozen=True, kw_only=True):
    """Every live value of a customer. `version` is the live behavioral one, empty if there is none."""

    customer_id: str
    features: dict[str, float]
    timestamp: datetime | None
    feature_type: str
    version: str
    metadata: dict[str, Any]
    versions: dict[str, str]
    missing: dict[str, str]
    source: str


class WrittenRows(Answer, frozen=True, kw_only=True):
    """The numbers of rows that were taken, and of those that changed something."""

    accepted: int
    appended: int


class HistoryRow(WrittenFeatures, frozen=True, kw_only=True):
    """The values that a customer had from `timestamp` on, stored at `recorded_at`."""

    recorded_at: datetime


class HistoryPage(Answer, frozen=True, kw_only=True):
    """Rows of the history, the newest first."""

    next: str | None
    previous: str | None
    results: list[HistoryRow]

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the page with older rows; None on the last one."""
        return cursor_in(self.next)


# --- Points in time and lists -----------------------------------------------------------------------------------------


class AsOfRow(Answer, frozen=True, kw_only=True):
    """The values that a customer had at a moment; `missing` as of FeatureValues, or `not_computed`."""

    customer_id: str
    timestamp: datetime
    features: dict[str, float]
    missing: dict[str, str]


class AsOfRows(Answer, frozen=True, kw_only=True):
    """The values of each customer and moment, in the order asked.

    `feature_set` and `versions` are there where a set was asked for.
    """

    results: list[AsOfRow]
    feature_set: str | None = msgspec.field(default=None, name="set")
    versions: dict[str, str] | None = None


class CustomerInList(Answer, frozen=True, kw_only=True):
    """A customer of a list; None where there is no value."""

    customer_id: str
    features: dict[str, float | None]
    days_since_purchase: float | None
    days_since_seen: float | None


class CustomerPage(Answer, frozen=True, kw_only=True):
    """A page of customers, whose values are as of `as_of` on all pages.

    `filled` is the share of customers that the list can have: less than 1 while it is filled in.
    """

    as_of: datetime
    filled: float
    next: str | None
    results: list[CustomerInList]

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page; None on the last one."""
        return cursor_in(self.next)


# --- Events -----------------------------------------------------------------------------------------------------------


class RefusedEvent(Answer, frozen=True, kw_only=True):
    """An event that was not stored since its customer was erased; `index` is its place among those sent."""

    index: int
    reason: str


class StoredEvents(Answer, frozen=True, kw_only=True):
    """The numbers of events that are stored now, and of those that were stored before."""

    accepted: int
    duplicates: int
    refused: list[RefusedEvent] = []


# --- Scores -----------------------------------------------------------------------------------------------------------


class Contribution(Answer, frozen=True, kw_only=True):
    """The part of an event type in the score: weight × min(count / norm, 1); `normalised` is its second factor."""

    event_type: str
    count: int
    norm: float
    normalised: float
    weight: float
    contribution: float


class Explanation(Answer, frozen=True, kw_only=True):
    """The contribution of each event type to the score; they add up to `unclamped_score`."""

    customer_id: str
    weight_set: int | None
    computed_at: datetime | None
    contributions: list[Contribution]
    unclamped_score: float
    engagement_score: float


class SimulatedMetadata(Answer, frozen=True, kw_only=True):
    """The weights and events that values are computed from; `weight_set` is None where weights were changed."""

    weight_set: int | None
    activity: dict[str, Any]
    contributions: list[Contribution]
    unclamped_score: float


class SimulatedFeatures(Answer, frozen=True, kw_only=True):
    """The behavioral values that the formulas give for events that are not stored."""

    customer_id: str
    features: dict[str, float]
    timestamp: datetime
    feature_type: str
    version: str
    metadata: SimulatedMetadata
    derived: dict[str, float]


class EventWeight(Answer, frozen=True, kw_only=True):
    """The numbers of an event type in a weight set."""

    weight: float
    norm: float


class WeightSet(Answer, frozen=True, kw_only=True):
    """A weight set that is or was active in its version."""

    id: int
    name: str
    version: str
    version_state: str
    state: str
    origin: str
    reason: str
    created_at: datetime
    activated_at: datetime
    monetary_norm: float
    weights: dict[str, EventWeight]


class WeightSets(Answer, frozen=True, kw_only=True):
    """The active weight set of the live version, and all that are or were active, the newest first."""

    active: WeightSet | None
    results: list[WeightSet]


# --- The registry, and erasure ----------------------------------------------------------------------------------------


class Window(Answer, frozen=True, kw_only=True):
    """The window of a windowed feature; None: all event types, all categories, no key, no half-life."""

    kind: str
    event_type: str | None
    category: str | None
    metadata_key: str | None
    length: str
    days: int | None
    half_life_days: float | None


class Definition(Answer, frozen=True, kw_only=True):
    """A registered feature, with coverage and age measured on a sample of customers."""

    name: str
    feature_type: str
    description: str
    owner: str
    unit: str
    default: float
    minimum: float | None
    maximum: float | None
    tags: list[str]
    versions: list[str]
    since_version: str | None
    window: Window | None
    expression: str | None
    coverage: float | None
    median_age_seconds: float | None


class Definitions(Answer, frozen=True, kw_only=True):
    """The registered features."""

    sampled_customers: int
    results: list[Definition]


class FeatureSet(Answer, frozen=True, kw_only=True):
    """Names in an order, each type of them pinned to a version; `written` is `churn_model:3`. It never changes."""

    written: str = msgspec.field(name="set")
    name: str
    number: int
    names: list[str]
    versions: dict[str, str]
    readable: bool
    reason: str
    made_at: datetime


class FeatureSets(Answer, frozen=True, kw_only=True):
    """Feature sets by name, the newest number first."""

    results: list[FeatureSet]


class ErasureReceipt(Answer, frozen=True, kw_only=True):
    """The numbers of what was deleted. `done` is false while Redis is away: erase again to learn whether it is done."""

    customer_id: str
    erased_at: datetime
    events: int
    history_rows: int
    redis_keys: int | None
    done: bool
