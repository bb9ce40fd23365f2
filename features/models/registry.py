"""What is registered: definitions, the versions they are computed and read in, and who reads those."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from events.event_types import EVENT_TYPES
from featurehub.access.models import ApiKey


class FeatureType(models.TextChoices):
    CUSTOMER = "customer"
    BEHAVIORAL = "behavioral"
    CONTEXTUAL = "contextual"
    DERIVED = "derived"


class FeatureDefinition(models.Model):
    """A name, what it means and what values it may take. A name belongs to one feature type.

    Behavioral features are computed by `formulas`, or where `kind` says so from the events of a window; derived ones
    by their `expression`; clients write the others. What a name means does not change once a version computes it
    (a trigger holds it).
    """

    class Kind(models.TextChoices):
        COUNT = "count", "Count of events"
        SUM = "sum", "Sum of a metadata key"
        MEAN = "mean", "Mean of a metadata key"
        MAX = "max", "Largest value of a metadata key"
        LAST = "last", "Last value of a metadata key"
        DISTINCT = "distinct", "Number of different values of a metadata key"

    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_]*$", "Use lower-case letters, digits and underscores.")],
    )
    feature_type = models.CharField(max_length=16, choices=FeatureType.choices)
    description = models.TextField(blank=True)
    owner = models.CharField(max_length=128, blank=True)
    unit = models.CharField(max_length=32, blank=True)
    # What a read gives where there is no value; it says so in `missing` either way.
    default = models.FloatField(default=0.0)
    minimum = models.FloatField(null=True, blank=True)
    maximum = models.FloatField(null=True, blank=True)
    tags = models.JSONField(default=list, blank=True)
    kind = models.CharField(max_length=16, choices=Kind.choices, blank=True)
    # Which events count; none: all of them.
    event_type = models.CharField(
        max_length=16, choices=[(name, name.replace("_", " ")) for name in EVENT_TYPES], blank=True
    )
    category = models.TextField(null=True, blank=True)  # noqa: DJ001 - an empty category is a category
    metadata_key = models.CharField(
        max_length=64,
        blank=True,
        validators=[RegexValidator(r"^[A-Za-z0-9_.-]+$", "Use letters, digits, underscores, dots and dashes.")],
    )
    window_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(90)]
    )
    half_life_days = models.FloatField(null=True, blank=True)
    expression = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(feature_type__in=FeatureType.values), name="definition_feature_type_is_known"
            ),
            models.CheckConstraint(condition=Q(minimum__lte=F("maximum")), name="definition_range_is_not_empty"),
            models.CheckConstraint(
                condition=Q(kind="", window_days__isnull=True)
                | Q(feature_type="behavioral", window_days__gte=1, window_days__lte=90),
                name="definition_window_is_behavioral",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["", "count"], metadata_key="")
                | (Q(kind__in=["sum", "mean", "max", "last", "distinct"]) & ~Q(metadata_key="")),
                name="definition_kind_has_its_key",
            ),
            models.CheckConstraint(
                condition=Q(half_life_days__isnull=True) | Q(kind__in=["count", "sum", "mean"], half_life_days__gt=0),
                name="definition_half_life_is_of_a_kind_that_decays",
            ),
            models.CheckConstraint(
                condition=Q(expression="") | Q(feature_type="derived"), name="definition_expression_is_derived"
            ),
        ]
        ordering = ["feature_type", "name"]

    def __str__(self) -> str:
        return self.name


class FeatureVersion(models.Model):
    """A feature view: definitions of one type that are computed, published and read together.

    draft → shadow → live → deprecated → retired, and from deprecated back to live. Its definitions change in a draft
    only (triggers hold both); what clients write may be added to.
    """

    class State(models.TextChoices):
        DRAFT = "draft"
        SHADOW = "shadow"
        LIVE = "live"
        DEPRECATED = "deprecated"
        RETIRED = "retired"

    feature_type = models.CharField(max_length=16, choices=FeatureType.choices)
    number = models.CharField(max_length=16, validators=[RegexValidator(r"^\d+(\.\d+)*$", "A version looks like 1.0.")])
    state = models.CharField(max_length=16, choices=State.choices, default=State.DRAFT)
    definitions = models.ManyToManyField(FeatureDefinition, related_name="versions", blank=True)
    # Of a derived version: feature type → the number of the version whose values it is computed from.
    inputs = models.JSONField(default=dict, blank=True)
    # Seconds; older values are read as expired. None: never.
    time_to_live = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    # From when readers get it without asking for it: a moment ahead, so that every process switches at once.
    live_from = models.DateTimeField(null=True, editable=False)

    class Meta:
        permissions = [("release_featureversion", "Can put versions into shadow, live and out of use")]
        constraints = [
            models.UniqueConstraint(fields=["feature_type", "number"], name="version_is_unique"),
            models.UniqueConstraint(fields=["feature_type"], condition=Q(state="live"), name="version_one_live"),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "shadow", "live", "deprecated", "retired"]),
                name="version_state_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["live", "deprecated"]) | Q(live_from__isnull=False),
                name="version_that_went_live_is_dated",
            ),
            models.CheckConstraint(
                condition=Q(time_to_live__isnull=True) | Q(time_to_live__gt=0), name="version_time_to_live_is_positive"
            ),
        ]
        ordering = ["feature_type", "number"]

    def __str__(self) -> str:
        return f"{self.feature_type}:{self.number}"


class FeatureVersionStep(models.Model):
    """One step in the life of a version: who did what, when, and why. Only ever appended (a trigger holds it)."""

    version = models.ForeignKey(FeatureVersion, on_delete=models.CASCADE, related_name="steps")
    state = models.CharField(max_length=16, choices=FeatureVersion.State.choices)
    # None: FeatureHub itself.
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_state_display()} at {self.at.isoformat()}"


class VersionUse(models.Model):
    """When an API key last read a version, or wrote values of it, to the hour: who would miss it."""

    class Kind(models.TextChoices):
        READ = "read"
        WRITE = "write"

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="version_uses")
    version = models.ForeignKey(FeatureVersion, on_delete=models.CASCADE, related_name="uses", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    used_at = models.DateTimeField()

    class Meta:
        constraints = [
            # Its index finds the readers and writers of a version, too.
            models.UniqueConstraint(fields=["version", "api_key", "kind"], name="version_use_is_unique"),
            models.CheckConstraint(condition=Q(kind__in=["read", "write"]), name="version_use_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.version} by {self.api_key} at {self.used_at.isoformat()}"
