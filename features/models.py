"""Definitions, versions, weight sets, customers, their append-only feature history, and runs of long work."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now

from events.event_types import EVENT_TYPES

BUCKETS = 256  # a power of two
INFINITY = float("inf")  # NaN sorts above infinity in PostgreSQL, so `< Infinity` refuses both


def above_zero(number: float) -> None:
    """A norm divides: raises ValidationError for 0 and less."""
    if not number > 0:
        raise ValidationError("A norm is greater than 0.", code="min_value")


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
    """How much each event type counts in `engagement_score`. Its numbers change in a draft only (triggers hold it)."""

    class State(models.TextChoices):
        DRAFT = "draft"
        PROPOSED = "proposed"
        APPROVED = "approved"
        SCHEDULED = "scheduled"
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
    reason = models.TextField("why", help_text="What should get better with these weights? It is kept with the set.")
    monetary_norm = models.FloatField(
        default=1000.0,
        validators=[above_zero],
        help_text="The purchase amount of 30 days that gives a monetary_score of 1.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    approved_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When a scheduled set is to be activated.
    activate_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Since when it is scored beside the active set, for nobody to read.
    shadow_since = models.DateTimeField(null=True, blank=True, editable=False)
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        permissions = [
            ("approve_weightset", "Can approve weight sets"),
            ("activate_weightset", "Can schedule, activate and roll back weight sets"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["version"], condition=Q(state="active"), name="weight_set_one_active"),
            models.CheckConstraint(
                condition=Q(monetary_norm__gt=0, monetary_norm__lt=INFINITY),
                name="weight_set_monetary_norm_is_positive",
            ),
            # A set that goes back to a draft has lost its approval; no other state than these is known.
            models.CheckConstraint(
                condition=Q(state__in=["draft", "proposed"], approved_at__isnull=True)
                | Q(state__in=["approved", "scheduled"], approved_at__isnull=False)
                | Q(state__in=["active", "superseded"]),
                name="weight_set_approval_is_dated",
            ),
            # The days of a shadow are compared with one another: its numbers must not change under it.
            models.CheckConstraint(
                condition=Q(shadow_since__isnull=True) | Q(state__in=["proposed", "approved", "scheduled"]),
                name="weight_set_in_shadow_does_not_change",
            ),
            models.CheckConstraint(
                condition=Q(state="scheduled", activate_at__isnull=False)
                | (~Q(state="scheduled") & Q(activate_at__isnull=True)),
                name="weight_set_schedule_has_a_moment",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["active", "superseded"], activated_at__isnull=False)
                | (~Q(state__in=["active", "superseded"]) & Q(activated_at__isnull=True)),
                name="weight_set_activation_is_dated",
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} (#{self.pk})"


class WeightSetStep(models.Model):
    """One step in the life of a set: who did what, when, and why. Only ever appended (a trigger holds it)."""

    class Action(models.TextChoices):
        CREATED = "created", "Drafted"
        EDITED = "edited", "Changed"
        PROPOSED = "proposed", "Proposed"
        SENT_BACK = "sent_back", "Sent back to draft"
        APPROVED = "approved", "Approved"
        SCHEDULED = "scheduled", "Scheduled"
        UNSCHEDULED = "unscheduled", "Schedule cancelled"
        ACTIVATED = "activated", "Activated"
        SUPERSEDED = "superseded", "Superseded"
        SHADOWED = "shadowed", "Put into shadow"
        UNSHADOWED = "unshadowed", "Taken out of shadow"

    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="steps")
    action = models.CharField(max_length=16, choices=Action.choices)
    # None: FeatureHub itself.
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    action__in=[
                        "created", "edited", "proposed", "sent_back", "approved",
                        "scheduled", "unscheduled", "activated", "superseded", "shadowed", "unshadowed",
                    ]
                ),
                name="weight_set_step_action_is_known",
            ),
        ]  # fmt: skip
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_action_display()} at {self.at.isoformat()}"


class Weight(models.Model):
    """weight × min(count / norm, 1) is what one event type contributes."""

    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="weights")
    event_type = models.CharField(max_length=16, choices=[(name, name.replace("_", " ")) for name in EVENT_TYPES])
    weight = models.FloatField(
        validators=[MinValueValidator(0.0, "A weight is at least 0.")],
        help_text="What this event type adds to the score at its norm.",
    )
    norm = models.FloatField(
        validators=[above_zero],
        help_text="The count at which this event type contributes its whole weight.",
    )

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


class Backtest(models.Model):
    """How well a set's numbers would have told on past days who purchases next, beside the set active at the time."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"

    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="backtests")
    against = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="+")
    numbers = models.JSONField()
    first_day = models.DateField()
    last_day = models.DateField()
    every_days = models.PositiveSmallIntegerField()
    horizon_days = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    result = models.JSONField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(first_day__lte=F("last_day"), every_days__gt=0, horizon_days__gt=0),
                name="backtest_days_are_in_order",
            ),
            models.CheckConstraint(
                condition=Q(state="running", result__isnull=True) | Q(state="done", result__isnull=False),
                name="backtest_is_done_with_a_result",
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Backtest of {self.weight_set}: {self.done} of {self.total} days"


class BacktestDay(models.Model):
    """The columns of a scored day, until the backtest is done: what another worker need not compute again."""

    backtest = models.ForeignKey(Backtest, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    columns = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["backtest", "day"], name="backtest_day_is_scored_once")]

    def __str__(self) -> str:
        return f"{self.day} of backtest {self.backtest_id}"


class ShadowDay(models.Model):
    """What a set in shadow would have given on a day, beside what the active set gave to the same customers."""

    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="shadow_days")
    against = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    customers = models.PositiveIntegerField()
    mean_active = models.FloatField()
    mean_shadow = models.FloatField()
    mean_difference = models.FloatField(help_text="Mean of the sizes of the customers' differences.")
    rank_correlation = models.FloatField(null=True)
    observed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["weight_set", "day"], name="shadow_day_is_kept_once")]
        ordering = ["day"]

    def __str__(self) -> str:
        return f"{self.weight_set} in shadow on {self.day}"


class Fitting(models.Model):
    """What came of an attempt to fit weights to later purchases, in words, with its proposal where there is one."""

    at = models.DateTimeField(db_default=Now())
    outcome = models.TextField()
    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, null=True, related_name="fittings")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.outcome


class Customer(models.Model):
    """The entity. One row a customer: what the last computation was based on, and when it stops being right."""

    customer_id = models.CharField(max_length=128, primary_key=True)
    first_seen_at = models.DateTimeField(db_default=Now())
    # The as_of of the newest behavioral computation, whether or not it changed a value; renewals need none.
    computed_at = models.DateTimeField(null=True)
    # When the oldest counted event leaves the window; none counted: none leaves.
    recompute_at = models.DateTimeField(null=True)
    # The weight set that computation used.
    weight_set = models.ForeignKey(WeightSet, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    # The part of all customers that this one is renewed with: 0 to BUCKETS - 1, the same for an id forever.
    bucket = models.GeneratedField(
        expression=Func(
            F("customer_id"), Value(0), function="hashtextextended", output_field=models.BigIntegerField()
        ).bitand(BUCKETS - 1),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )

    class Meta:
        indexes = [
            # The refresh of values that an event leaving the window changed: `recompute_at < now`.
            models.Index(fields=["recompute_at"], name="customer_recompute", condition=Q(recompute_at__isnull=False)),
            # Work that takes all customers in parts: renewals, thinning the history.
            models.Index(fields=["bucket"], name="customer_bucket"),
            # Who is still to be re-scored: `weight_set = (an earlier one) order by customer_id`.
            models.Index(fields=["weight_set", "customer_id"], name="customer_rescore"),
        ]

    def __str__(self) -> str:
        return self.customer_id


class Renewal(models.Model):
    """One bucket of customers, renewed together before their TTL ends: BUCKETS rows, made by a migration.

    What a customer's last computation found holds until an event leaves the window (`recompute_at`), so that one
    moment says for a whole bucket up to when it is known to hold, and no customer's row is written to renew it.
    """

    bucket = models.SmallIntegerField(primary_key=True)
    # The values of the bucket's active customers hold at this moment, unless one has lost an event before it.
    renewed_at = models.DateTimeField(null=True)
    # When it is renewed next. Claimed: when somebody else may assume that the claimer has died.
    due_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"Bucket {self.bucket}"


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
        RETENTION = "retention", "Drop months of events past their retention"
        THINNING = "thinning", "Thin out the history past its retention"

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        OVERTAKEN = "overtaken"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, null=True, blank=True, related_name="runs")
    total = models.PositiveBigIntegerField(default=0)
    done = models.PositiveBigIntegerField(default=0)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    # A recomputation's moment, or where a thinning ends.
    as_of = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # The others may run side by side.
            models.UniqueConstraint(
                fields=["kind"],
                condition=Q(state="running", kind__in=["refresh", "retention", "thinning"]),
                name="run_one_at_a_time",
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.done} of {self.total}"


class RunChunk(models.Model):
    """A part of a run that is still to be done. Deleted when it is done; a claim moves `due_at` ahead."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    number = models.PositiveIntegerField()
    due_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # Its index finds the next chunk of a run, too.
            models.UniqueConstraint(fields=["run", "number"], name="run_chunk_is_unique"),
        ]

    def __str__(self) -> str:
        return f"Chunk {self.number} of run {self.run_id}"
