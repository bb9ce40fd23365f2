"""Definitions, versions, weight sets, customers, their append-only feature history, and runs of long work."""

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from events.event_types import EVENT_TYPES

INFINITY = float("inf")  # NaN sorts above infinity in PostgreSQL, so `< Infinity` refuses both


class FeatureType(models.TextChoices):
    CUSTOMER = "customer"
    BEHAVIORAL = "behavioral"
    CONTEXTUAL = "contextual"
    DERIVED = "derived"


class FeatureDefinition(models.Model):
    """A name, what it means and what values it may take. A name belongs to one feature type."""

    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_]*$", "Use lower-case letters, digits and underscores.")],
    )
    feature_type = models.CharField(max_length=16, choices=FeatureType.choices)
    description = models.TextField(blank=True)
    owner = models.CharField(max_length=128, blank=True)
    unit = models.CharField(max_length=32, blank=True)
    minimum = models.FloatField(null=True, blank=True)
    maximum = models.FloatField(null=True, blank=True)
    tags = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(feature_type__in=FeatureType.values), name="definition_feature_type_is_known"
            ),
            models.CheckConstraint(condition=Q(minimum__lte=F("maximum")), name="definition_range_is_not_empty"),
        ]
        ordering = ["feature_type", "name"]

    def __str__(self) -> str:
        return self.name


class FeatureVersion(models.Model):
    """A set of definitions of one type that is computed, published and read together."""

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

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["feature_type", "number"], name="version_is_unique"),
            models.UniqueConstraint(fields=["feature_type"], condition=Q(state="live"), name="version_one_live"),
        ]
        ordering = ["feature_type", "number"]

    def __str__(self) -> str:
        return f"{self.feature_type}:{self.number}"


class WeightSet(models.Model):
    """How much each event type counts in `engagement_score`. Immutable once activated (a trigger holds it)."""

    class State(models.TextChoices):
        DRAFT = "draft"
        ACTIVE = "active"
        SUPERSEDED = "superseded"

    class Origin(models.TextChoices):
        HAND = "hand"
        PROPOSAL = "proposal"
        ROLLBACK = "rollback"

    version = models.ForeignKey(FeatureVersion, on_delete=models.PROTECT, related_name="weight_sets")
    name = models.CharField(max_length=128)
    state = models.CharField(max_length=16, choices=State.choices, default=State.DRAFT, editable=False)
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.HAND, editable=False)
    reason = models.TextField(blank=True, help_text="Why this change? It is kept with the set.")
    monetary_norm = models.FloatField(
        default=1000.0, help_text="The purchase amount of 30 days that gives a monetary_score of 1."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version"], condition=Q(state="active"), name="weight_set_one_active"),
            models.CheckConstraint(
                condition=Q(monetary_norm__gt=0, monetary_norm__lt=INFINITY),
                name="weight_set_monetary_norm_is_positive",
            ),
            models.CheckConstraint(
                condition=Q(state="draft") | Q(activated_at__isnull=False), name="weight_set_activation_is_dated"
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} (#{self.pk})"


class Weight(models.Model):
    """weight × min(count / norm, 1) is what one event type contributes."""

    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="weights")
    event_type = models.CharField(max_length=16, choices=[(name, name.replace("_", " ")) for name in EVENT_TYPES])
    weight = models.FloatField(validators=[MinValueValidator(0.0)])
    norm = models.FloatField(help_text="The count at which this event type contributes its whole weight.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["weight_set", "event_type"], name="weight_one_per_event_type"),
            models.CheckConstraint(condition=Q(event_type__in=EVENT_TYPES), name="weight_event_type_is_known"),
            models.CheckConstraint(condition=Q(weight__gte=0, weight__lt=INFINITY), name="weight_is_not_negative"),
            models.CheckConstraint(condition=Q(norm__gt=0, norm__lt=INFINITY), name="weight_norm_is_positive"),
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.event_type}: {self.weight} per {self.norm}"


class Customer(models.Model):
    """The entity. One row a customer: what the last computation was based on, and when it stops being right."""

    customer_id = models.CharField(max_length=128, primary_key=True)
    first_seen_at = models.DateTimeField(db_default=Now())
    # The as_of of the newest behavioral computation, whether or not it changed a value.
    computed_at = models.DateTimeField(null=True)
    # When the oldest counted event leaves the window; none counted: none leaves.
    recompute_at = models.DateTimeField(null=True)
    # The weight set that computation used.
    weight_set = models.ForeignKey(WeightSet, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        indexes = [
            # The refresh of values that an event leaving the window changed: `recompute_at < now`.
            models.Index(fields=["recompute_at"], name="customer_recompute", condition=Q(recompute_at__isnull=False)),
            # The refresh before the TTL ends: active customers by `computed_at`.
            models.Index(fields=["computed_at"], name="customer_renewal", condition=Q(recompute_at__isnull=False)),
            # Who is still to be re-scored: `weight_set = (an earlier one) order by customer_id`.
            models.Index(fields=["weight_set", "customer_id"], name="customer_rescore"),
        ]

    def __str__(self) -> str:
        return self.customer_id


class CustomerFeature(models.Model):
    """One row of the history: these values held from `timestamp` on. Only ever appended (a trigger holds it)."""

    customer_id = models.CharField(max_length=128)
    feature_type = models.CharField(max_length=16, choices=FeatureType.choices)
    version = models.CharField(max_length=16)
    timestamp = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())
    features = models.JSONField()
    metadata = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(feature_type__in=FeatureType.values), name="customer_feature_type_is_known"
            ),
        ]
        indexes = [
            # The row that holds at a moment: `… and timestamp <= ? order by timestamp desc, id desc limit 1`.
            models.Index(
                fields=["customer_id", "feature_type", "version", "-timestamp", "-id"], name="customer_feature_as_of"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.feature_type}:{self.version} at {self.timestamp.isoformat()}"


class Run(models.Model):
    """Long work and how far it is. What is left to do is read from the data, so any worker can go on with it."""

    class Kind(models.TextChoices):
        RESCORE = "rescore", "Re-score under new weights"
        RECOMPUTE = "recompute", "Recompute from events"
        REFRESH = "refresh", "Refresh before expiry"

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, null=True, blank=True, related_name="runs")
    total = models.PositiveBigIntegerField(default=0)
    done = models.PositiveBigIntegerField(default=0)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.done} of {self.total}"
