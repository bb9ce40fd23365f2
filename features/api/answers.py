"""Shapes of the answers of the feature endpoints. The OpenAPI schema is made of them, and their texts are shown in it.

Tests hold every answer to them. A struct is also what is answered where it is made from rows (history, definitions).
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from events.validation import EventTypeName, Moment
from features.api.bodies import Count, FeatureName, FeatureSetName, NonNegative, Positive, VersionNumber, WrittenSet
from features.models import FeatureDefinition, FeatureType, FeatureVersion, WeightSet
from features.serving import render

FeatureTypeName = Annotated[str, Meta(extra_json_schema={"enum": FeatureType.values})]
Share = Annotated[float, Meta(ge=0, le=1)]
Versions = Annotated[
    dict[str, VersionNumber],
    Meta(
        description="The version of each feature type that was read.",
        extra_json_schema={"propertyNames": {"enum": FeatureType.values}},
    ),
]
Features = Annotated[dict[str, float], Meta(description="The value of each feature by its name.")]
ComputedAt = Annotated[
    Moment | None,
    Meta(description="The moment as of which the oldest of the values was computed; null if there is no value."),
]
ComputedMetadata = Annotated[
    dict[str, Any],
    Meta(
        description="What was written with values of a client; of computed ones the weight set and the activity that "
        "they are computed from."
    ),
]
ReadFrom = Annotated[
    Literal["cache", "database"], Meta(description="Where the values were read: from Redis or from PostgreSQL.")
]
AskedSet = Annotated[WrittenSet, Meta(description="The feature set that was asked for.")]
Address = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
NextPage = Annotated[Address | None, Meta(description="The address of the next page; null on the last one.")]


class MissingReason(StrEnum):
    """The reason for a default."""

    UNKNOWN = render.UNKNOWN
    NO_VALUE = render.NO_VALUE
    EXPIRED = render.EXPIRED


class MissingThenReason(StrEnum):
    """The reason for a default at a moment."""

    UNKNOWN = render.UNKNOWN
    NO_VALUE = render.NO_VALUE
    EXPIRED = render.EXPIRED
    NOT_COMPUTED = render.NOT_COMPUTED


MISSING = (
    "The names that have their default for lack of a value, with the reason: `unknown` (in none of the versions read), "
    "`no_value` or `expired` (older than the time to live of its version)."
)
OF_MOMENTS = " `not_computed`: nobody's values were computed for the moment; the customer may have had one."
Missing = Annotated[dict[str, MissingReason], Meta(description=MISSING)]


# --- Values of a customer ---------------------------------------------------------------------------------------------


class FeatureValues(msgspec.Struct, kw_only=True):
    """The values of a customer that were asked for."""

    customer_id: str
    feature_set: AskedSet | UnsetType = msgspec.field(default=UNSET, name="set")
    versions: Versions
    features: Features
    missing: Missing
    computed_at: ComputedAt
    age_seconds: Annotated[NonNegative | None, Meta(description="The age of `computed_at` when the answer was made.")]
    source: ReadFrom


class BatchOfValues(msgspec.Struct, kw_only=True):
    """The values of each customer, in the order asked."""

    results: list[FeatureValues]


class WrittenFeatures(msgspec.Struct, kw_only=True):
    """The values of one type and version that a customer has from a moment on."""

    customer_id: str
    features: Features
    timestamp: Annotated[Moment, Meta(description="From when the values hold.")]
    feature_type: FeatureTypeName
    version: VersionNumber
    metadata: ComputedMetadata


class HistoryRow(WrittenFeatures, kw_only=True):
    """The values that a customer had from a moment on."""

    recorded_at: Annotated[Moment, Meta(description="When the row was stored.")]


class HistoryPage(msgspec.Struct, kw_only=True):
    """Rows of the history, the newest first."""

    next: Annotated[
        Address | None, Meta(description="The address of the page with older rows; null if there are none.")
    ]
    previous: Annotated[
        Address | None, Meta(description="The address of the page with newer rows; null if there are none.")
    ]
    results: list[HistoryRow]


class FeatureVector(msgspec.Struct, kw_only=True):
    """Every live value of a customer."""

    customer_id: str
    features: Features
    timestamp: ComputedAt
    feature_type: Literal["vector"]
    version: Annotated[str, Meta(description="The live behavioral version; empty if there is none.")]
    metadata: ComputedMetadata
    versions: Versions
    missing: Missing
    source: ReadFrom


class WrittenRows(msgspec.Struct, kw_only=True):
    """The numbers of rows that were taken, and of those that changed something."""

    accepted: Count
    appended: Count


# --- Explanation and computation --------------------------------------------------------------------------------------


class Contribution(msgspec.Struct, kw_only=True):
    """The part of the events of a type in the score: weight × min(count / norm, 1)."""

    event_type: EventTypeName
    count: Annotated[Count, Meta(description="Events of the type in the window.")]
    norm: Positive
    normalised: Annotated[Share, Meta(description="min(count / norm, 1)")]
    weight: NonNegative
    contribution: NonNegative


class Explanation(msgspec.Struct, kw_only=True):
    """The contribution of each event type to the score; none where the customer has no score."""

    customer_id: str
    weight_set: Annotated[int | None, Meta(description="The weight set of the score; null without one.")]
    computed_at: ComputedAt
    contributions: list[Contribution]
    unclamped_score: Annotated[NonNegative, Meta(description="The sum of the contributions.")]
    engagement_score: Annotated[float, Meta(description="The sum, 1 at most.")]


class SimulatedMetadata(msgspec.Struct, kw_only=True):
    """The weights and events that the values are computed from."""

    weight_set: Annotated[int | None, Meta(description="The active weight set; null where weights were changed.")]
    activity: Annotated[dict[str, Any], Meta(description="What was counted in the window.")]
    contributions: list[Contribution]
    unclamped_score: NonNegative


class SimulatedFeatures(msgspec.Struct, kw_only=True):
    """The behavioral values that the formulas give for the events that were sent."""

    customer_id: Annotated[str, Meta(description="The customer of the events; empty without an event.")]
    features: Features
    timestamp: Annotated[Moment, Meta(description="The moment as of which they are computed.")]
    feature_type: FeatureTypeName
    version: VersionNumber
    metadata: SimulatedMetadata
    derived: Annotated[
        dict[str, float], Meta(description="The live derived values that follow from the behavioral ones alone.")
    ]


# --- Lists, and points in time ----------------------------------------------------------------------------------------


class CustomerInList(msgspec.Struct, kw_only=True):
    """A customer of a list; null where there is no value."""

    customer_id: str
    features: Annotated[
        dict[str, float | None], Meta(description="The listed features, and those that the list is filtered by.")
    ]
    days_since_purchase: Annotated[
        NonNegative | None, Meta(description="Days since the last purchase in the window of the formulas.")
    ]
    days_since_seen: Annotated[NonNegative | None, Meta(description="Days since the newest event that was counted.")]


class CustomerPage(msgspec.Struct, kw_only=True):
    """A page of customers."""

    as_of: Annotated[Moment, Meta(description="The moment of the first page, which all pages show values as of.")]
    filled: Annotated[
        Share, Meta(description="The share of customers that the list can have: below 1 while it is filled in.")
    ]
    next: NextPage
    results: list[CustomerInList]


class AsOfRow(msgspec.Struct, kw_only=True):
    """The values that a customer had at a moment."""

    customer_id: str
    timestamp: Moment
    features: Features
    missing: Annotated[dict[str, MissingThenReason], Meta(description=MISSING + OF_MOMENTS)]


class AsOfRows(msgspec.Struct, kw_only=True):
    """The values of each customer and moment, in the order asked."""

    feature_set: AskedSet | UnsetType = msgspec.field(default=UNSET, name="set")
    versions: Versions | UnsetType = UNSET
    results: list[AsOfRow]


# --- The registry -----------------------------------------------------------------------------------------------------


class Window(msgspec.Struct, kw_only=True):
    """The definition of a windowed feature; null: all event types, all categories, no key, no half-life."""

    kind: Annotated[str, Meta(extra_json_schema={"enum": FeatureDefinition.Kind.values})]
    event_type: EventTypeName | None
    category: str | None
    metadata_key: str | None
    length: Annotated[str, Meta(pattern="^[1-9][0-9]*[hd]$", description="The window, such as 6h or 7d.")]
    days: Annotated[int | None, Meta(description="The window in days; null where it is not whole days.")]
    half_life_days: Positive | None


class RegisteredFeature(msgspec.Struct, kw_only=True):
    """A registered feature."""

    name: FeatureName
    feature_type: FeatureTypeName
    description: str
    owner: str
    unit: str
    default: Annotated[float, Meta(description="What is read where there is no value.")]
    minimum: float | None
    maximum: float | None
    tags: list[str]
    versions: Annotated[list[VersionNumber], Meta(description="The versions that can be read and have the feature.")]
    since_version: VersionNumber | None
    window: Window | None
    expression: Annotated[str | None, Meta(description="The formula of a derived feature.")]
    coverage: Annotated[Share | None, Meta(description="The share of the sampled customers who have a value.")]
    median_age_seconds: NonNegative | None


class RegisteredFeatures(msgspec.Struct, kw_only=True):
    """The registered features."""

    sampled_customers: Annotated[Count, Meta(description="On so many customers coverage and age are measured.")]
    results: list[RegisteredFeature]


class DescribedSet(msgspec.Struct, kw_only=True):
    """A feature set: names in an order, each type of them pinned to a version. It never changes."""

    written: WrittenSet = msgspec.field(name="set")
    name: FeatureSetName
    number: Annotated[int, Meta(ge=1)]
    names: list[FeatureName]
    versions: Versions
    readable: Annotated[bool, Meta(description="False where a version of the set is retired.")]
    reason: str
    made_at: Moment


class DescribedSets(msgspec.Struct, kw_only=True):
    """Feature sets by name, the newest number first."""

    results: list[DescribedSet]


class EventWeight(msgspec.Struct, kw_only=True):
    """The numbers of an event type in a weight set."""

    weight: NonNegative
    norm: Positive


class ActivatedWeights(msgspec.Struct, kw_only=True):
    """A weight set that is or was active in its version."""

    id: int
    name: str
    version: VersionNumber
    version_state: Annotated[str, Meta(extra_json_schema={"enum": FeatureVersion.State.values})]
    state: Annotated[str, Meta(extra_json_schema={"enum": WeightSet.State.values})]
    origin: Annotated[str, Meta(extra_json_schema={"enum": WeightSet.Origin.values})]
    reason: str
    created_at: Moment
    activated_at: Moment
    monetary_norm: Positive
    weights: dict[str, EventWeight]


class WeightSets(msgspec.Struct, kw_only=True):
    """The active weight set of the live version, null where there is none, and all that are or were active."""

    active: ActivatedWeights | None
    results: list[ActivatedWeights]


class ErasureReceipt(msgspec.Struct, kw_only=True):
    """The numbers of what was deleted."""

    customer_id: str
    erased_at: Moment
    events: Count
    history_rows: Count
    redis_keys: Annotated[Count | None, Meta(description="Null while Redis is away.")]
    done: Annotated[bool, Meta(description="Whether nobody reads a value any more; send the request again if not.")]
