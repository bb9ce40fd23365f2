"""Schemas of the feature endpoints: request bodies as msgspec structs, answers as serializers for OpenAPI."""

from collections.abc import Container
from typing import Annotated, Any

import msgspec
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from events.event_types import EVENT_TYPE_PATTERN
from events.validation import EVENTS_PER_REQUEST, CustomerId, Metadata, Moment, NewEvent
from featurehub.lib.errors import InvalidError
from features.formulas.windowed import HOURS_PER_DAY
from features.lifecycle.drafts import version_key
from features.lifecycle.feature_sets import LONGEST_REASON
from features.models import WRITTEN_BY_CLIENTS, CustomerFeature, FeatureDefinition, FeatureVersion
from features.models.feature_sets import MOST_NAMES, SET_NAME
from features.models.versions import READABLE_STATES
from features.monitoring.coverage import Coverage, Coverages
from features.registry.feature_sets import WRITTEN_SET
from features.registry.window_text import window_text

CUSTOMERS_PER_BATCH = 1_000
NAMES_PER_BATCH = 500
ROWS_PER_PATCH = 10_000

NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class FeaturesPatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH customers/{id}/features/`."""

    feature_type: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(WRITTEN_BY_CLIENTS)})]
    version: str
    features: Annotated[dict[str, float], msgspec.Meta(min_length=1, max_length=NAMES_PER_BATCH)]
    metadata: Metadata | None = None
    timestamp: Moment | None = None


class NamesOrSet(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The part of a body that says what is read: names with or without versions, or a feature set."""

    names: Annotated[list[str], msgspec.Meta(min_length=1, max_length=NAMES_PER_BATCH)] | None = None
    version: str | list[str] = []
    feature_set: Annotated[str, msgspec.Meta(extra_json_schema={"pattern": f"^{WRITTEN_SET.pattern}$"})] | None = (
        msgspec.field(default=None, name="set")
    )

    @property
    def versions(self) -> list[str]:
        """The pins that `version` names."""
        return [self.version] if isinstance(self.version, str) else self.version

    def check_asks_for_something(self) -> None:
        """Raise InvalidError where neither names nor a set is given."""
        if self.names is None and self.feature_set is None:
            raise InvalidError("Name the features, or give a feature set as `set`.", attr="names", code="required")


class PatchedRow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A row of `PATCH features/batch/`: values of a customer that hold from `timestamp` on, now if it is left out."""

    customer_id: CustomerId
    features: Annotated[dict[str, float], msgspec.Meta(min_length=1, max_length=NAMES_PER_BATCH)]
    timestamp: Moment | None = None


class BatchPatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH features/batch/`."""

    feature_type: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(WRITTEN_BY_CLIENTS)})]
    version: str
    rows: Annotated[list[PatchedRow], msgspec.Meta(min_length=1, max_length=ROWS_PER_PATCH)]


class BatchRequest(NamesOrSet, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST features/batch/`."""

    customer_ids: Annotated[list[CustomerId], msgspec.Meta(min_length=1, max_length=CUSTOMERS_PER_BATCH)]


class FeatureSetRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST feature-sets/`."""

    name: Annotated[str, msgspec.Meta(extra_json_schema={"pattern": SET_NAME})]
    names: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_NAMES)]
    version: str | list[str] = []
    reason: Annotated[str, msgspec.Meta(max_length=LONGEST_REASON)] = ""


class WeightChange(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    weight: NonNegative | None = None
    norm: Positive | None = None


class ComputeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST features/compute/`; `weights` replaces some of the active set's numbers."""

    events: Annotated[list[NewEvent], msgspec.Meta(max_length=EVENTS_PER_REQUEST)]
    as_of: Moment | None = None
    weights: Annotated[
        dict[str, WeightChange],
        msgspec.Meta(extra_json_schema={"propertyNames": {"pattern": EVENT_TYPE_PATTERN}}),
    ] = {}
    monetary_norm: Positive | None = None


class ValuesSerializer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    set = serializers.CharField(required=False)
    versions = serializers.DictField(child=serializers.CharField())
    features = serializers.DictField(child=serializers.FloatField())
    missing = serializers.DictField(child=serializers.ChoiceField(choices=["unknown", "no_value", "expired"]))
    computed_at = serializers.DateTimeField(allow_null=True)
    age_seconds = serializers.FloatField(allow_null=True)
    source = serializers.ChoiceField(choices=["cache", "database"])  # type: ignore[assignment]


class CustomerFeatureSerializer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    features = serializers.DictField(child=serializers.FloatField())
    timestamp = serializers.DateTimeField(allow_null=True)
    feature_type = serializers.CharField()
    version = serializers.CharField()
    metadata = serializers.DictField()


class WrittenSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    appended = serializers.IntegerField()


class ComputedSerializer(CustomerFeatureSerializer):
    derived = serializers.DictField(child=serializers.FloatField())


class VectorSerializer(CustomerFeatureSerializer):
    versions = serializers.DictField(child=serializers.CharField())
    missing = serializers.DictField(child=serializers.CharField())
    source = serializers.CharField()  # type: ignore[assignment]


class HistoryRowSerializer(serializers.ModelSerializer[CustomerFeature]):
    features = serializers.DictField(child=serializers.FloatField())

    class Meta:
        model = CustomerFeature
        fields = ("customer_id", "features", "timestamp", "feature_type", "version", "metadata", "recorded_at")


class HistorySerializer(serializers.Serializer[Any]):
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = HistoryRowSerializer(many=True)


class ListedCustomerSerializer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    features = serializers.DictField(child=serializers.FloatField(allow_null=True))
    days_since_purchase = serializers.FloatField(allow_null=True)
    days_since_seen = serializers.FloatField(allow_null=True)


class CustomerListSerializer(serializers.Serializer[Any]):
    as_of = serializers.DateTimeField()
    filled = serializers.FloatField()
    next = serializers.CharField(allow_null=True)
    results = ListedCustomerSerializer(many=True)


class BatchSerializer(serializers.Serializer[Any]):
    results = ValuesSerializer(many=True)


class ContributionSerializer(serializers.Serializer[Any]):
    event_type = serializers.CharField()
    count = serializers.IntegerField()
    norm = serializers.FloatField()
    normalised = serializers.FloatField()
    weight = serializers.FloatField()
    contribution = serializers.FloatField()


class ExplanationSerializer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    weight_set = serializers.IntegerField(allow_null=True)
    computed_at = serializers.DateTimeField(allow_null=True)
    contributions = ContributionSerializer(many=True)
    unclamped_score = serializers.FloatField()
    engagement_score = serializers.FloatField()


class WindowSerializer(serializers.Serializer[Any]):
    """The definition of a windowed feature; null: all event types, all categories, no key, no half-life.

    `length` is the window as "6h" or "7d"; `days` is null where it is not whole days.
    """

    kind = serializers.ChoiceField(choices=FeatureDefinition.Kind.choices)
    event_type = serializers.CharField(allow_null=True)
    category = serializers.CharField(allow_null=True)
    metadata_key = serializers.CharField(allow_null=True)
    length = serializers.CharField()
    days = serializers.IntegerField(allow_null=True)
    half_life_days = serializers.FloatField(allow_null=True)


class DefinitionSerializer(serializers.ModelSerializer[FeatureDefinition]):
    """A registered feature; `versions` are those that can be read."""

    # The context has the measured `coverages`.
    versions = serializers.SerializerMethodField()
    since_version = serializers.SerializerMethodField()
    window = serializers.SerializerMethodField()
    expression = serializers.SerializerMethodField()
    coverage = serializers.SerializerMethodField()
    median_age_seconds = serializers.SerializerMethodField()

    class Meta:
        model = FeatureDefinition
        fields = (
            "name", "feature_type", "description", "owner", "unit", "default", "minimum", "maximum", "tags", "versions",
            "since_version", "window", "expression", "coverage", "median_age_seconds",
        )  # fmt: skip

    def get_versions(self, definition: FeatureDefinition) -> list[str]:
        return sorted(version_numbers(definition, states=READABLE_STATES), key=version_key)

    def get_since_version(self, definition: FeatureDefinition) -> str | None:
        return min(
            version_numbers(definition, states=(*READABLE_STATES, FeatureVersion.State.RETIRED)),
            key=version_key,
            default=None,
        )

    @extend_schema_field(WindowSerializer(allow_null=True))
    def get_window(self, definition: FeatureDefinition) -> dict[str, Any] | None:
        hours = definition.window_hours
        if hours is None:
            return None
        return {
            "kind": definition.kind,
            "event_type": definition.event_type or None,
            "category": definition.category,
            "metadata_key": definition.metadata_key or None,
            "length": window_text(hours),
            "days": None if hours % HOURS_PER_DAY else hours // HOURS_PER_DAY,
            "half_life_days": definition.half_life_days,
        }

    def get_expression(self, definition: FeatureDefinition) -> str | None:
        return definition.expression or None

    def get_coverage(self, definition: FeatureDefinition) -> float | None:
        return self.coverage_of(definition).share

    def get_median_age_seconds(self, definition: FeatureDefinition) -> float | None:
        return self.coverage_of(definition).median_age_seconds

    def coverage_of(self, definition: FeatureDefinition) -> Coverage:
        coverages: Coverages = self.context["coverages"]
        return coverages.of(definition.name)


def version_numbers(definition: FeatureDefinition, *, states: Container[str]) -> list[str]:
    return [version.number for version in definition.versions.all() if version.state in states]


class DefinitionsSerializer(serializers.Serializer[Any]):
    sampled_customers = serializers.IntegerField()
    results = DefinitionSerializer(many=True)


class FeatureSetSerializer(serializers.Serializer[Any]):
    set = serializers.CharField()
    name = serializers.CharField()
    number = serializers.IntegerField()
    names = serializers.ListField(child=serializers.CharField())
    versions = serializers.DictField(child=serializers.CharField())
    readable = serializers.BooleanField()
    reason = serializers.CharField()
    made_at = serializers.DateTimeField()


class FeatureSetsSerializer(serializers.Serializer[Any]):
    results = FeatureSetSerializer(many=True)


class WeightSetSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    version = serializers.CharField()
    version_state = serializers.ChoiceField(choices=FeatureVersion.State.choices)
    state = serializers.CharField()
    origin = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    activated_at = serializers.DateTimeField()
    monetary_norm = serializers.FloatField()
    weights = serializers.DictField(child=serializers.DictField(child=serializers.FloatField()))


class WeightSetsSerializer(serializers.Serializer[Any]):
    active = WeightSetSerializer(allow_null=True)
    results = WeightSetSerializer(many=True)
