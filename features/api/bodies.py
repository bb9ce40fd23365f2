"""Shapes of the bodies that the feature endpoints take: views decode them, and the OpenAPI schema is made of them.

Their texts are shown in the schema. What is only in `extra_json_schema` is checked by the service, in its own words.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from events.event_types import EVENT_TYPE_PATTERN
from events.validation import EVENTS_PER_REQUEST, CustomerId, Metadata, Moment, NewEvent
from featurehub.lib.errors import InvalidError
from features.lifecycle.feature_sets import LONGEST_REASON
from features.models import WRITTEN_BY_CLIENTS
from features.models.definitions import FEATURE_NAME, LONGEST_FEATURE_NAME
from features.models.feature_sets import MOST_NAMES, SET_NAME
from features.registry.feature_sets import WRITTEN_SET, Selection

CUSTOMERS_PER_BATCH = 1_000
NAMES_PER_BATCH = 500
ROWS_PER_PATCH = 10_000
FEATURE_NAME_SCHEMA = {"pattern": FEATURE_NAME, "maxLength": LONGEST_FEATURE_NAME}
NUMBER_PATTERN = r"[0-9]+(\.[0-9]+)*"
SET_PATTERN = f"^{WRITTEN_SET.pattern}$"

Count = Annotated[int, Meta(ge=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
FeatureName = Annotated[str, Meta(extra_json_schema=FEATURE_NAME_SCHEMA)]
FeatureSetName = Annotated[str, Meta(extra_json_schema={"pattern": SET_NAME})]
WrittenSet = Annotated[str, Meta(extra_json_schema={"pattern": SET_PATTERN})]
VersionNumber = Annotated[str, Meta(extra_json_schema={"pattern": f"^{NUMBER_PATTERN}$", "maxLength": 16})]
Pin = Annotated[str, Meta(extra_json_schema={"pattern": f"^([a-z]+:)?{NUMBER_PATTERN}$"})]
Pins = Annotated[
    Pin | list[Pin],
    Meta(
        description="Versions to read, one of a feature type: behavioral:1.0, or 1.0 for the same. The live ones where "
        "it is left out."
    ),
]
WrittenType = Annotated[
    str,
    Meta(
        description="A feature type whose values clients write.", extra_json_schema={"enum": list(WRITTEN_BY_CLIENTS)}
    ),
]
WrittenValues = Annotated[
    dict[str, float],
    Meta(
        min_length=1,
        max_length=NAMES_PER_BATCH,
        description="The values to set; other names keep theirs.",
        extra_json_schema={"propertyNames": FEATURE_NAME_SCHEMA},
    ),
]
From = Annotated[Moment, Meta(description="From when the values hold; now if it is left out.")]


class FeaturesPatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Values of a customer, of one type and version."""

    feature_type: WrittenType
    version: VersionNumber
    features: WrittenValues
    metadata: Metadata | None = None
    timestamp: From | None = None


class NamesOrSet(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The part of a request that names what is read: names with or without versions, or a feature set."""

    names: Annotated[list[str], Meta(min_length=1, max_length=NAMES_PER_BATCH)] | None = None
    version: Pins = []
    feature_set: Annotated[WrittenSet, Meta(description="A feature set, in place of names and version.")] | None = (
        msgspec.field(default=None, name="set")
    )

    @property
    def asked(self) -> Selection:
        """The names and versions, or the set, that are read."""
        pins = [self.version] if isinstance(self.version, str) else self.version
        return Selection.of(self.names, versions=pins, feature_set=self.feature_set)

    def check_asks_for_something(self) -> None:
        """Raise InvalidError where neither names nor a set is given."""
        if self.names is None and self.feature_set is None:
            raise InvalidError("Name the features, or give a feature set as `set`.", attr="names", code="required")


class PatchedRow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Values of a customer that hold from a moment on."""

    customer_id: CustomerId
    features: WrittenValues
    timestamp: From | None = None


class BatchPatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Values of many customers, of one type and version."""

    feature_type: WrittenType
    version: VersionNumber
    rows: Annotated[list[PatchedRow], Meta(min_length=1, max_length=ROWS_PER_PATCH)]


class BatchRequest(NamesOrSet, kw_only=True, forbid_unknown_fields=True):
    """The customers whose values are read, and what is read of them."""

    customer_ids: Annotated[list[CustomerId], Meta(min_length=1, max_length=CUSTOMERS_PER_BATCH)]


class FeatureSetRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The next set of a name."""

    name: FeatureSetName
    names: Annotated[list[str], Meta(min_length=1, max_length=MOST_NAMES)]
    version: Pins = []
    reason: Annotated[str, Meta(max_length=LONGEST_REASON)] = ""


class WeightChange(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Numbers of an event type in place of those of the active weight set."""

    weight: NonNegative | None = None
    norm: Positive | None = None


class ComputeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Events of one customer, and numbers in place of those of the active weight set."""

    events: Annotated[list[NewEvent], Meta(max_length=EVENTS_PER_REQUEST)]
    as_of: Moment | None = None
    weights: Annotated[
        dict[str, WeightChange],
        Meta(extra_json_schema={"propertyNames": {"pattern": EVENT_TYPE_PATTERN}}),
    ] = {}
    monetary_norm: Positive | None = None
