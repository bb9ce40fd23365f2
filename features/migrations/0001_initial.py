"""Create the tables of the registry, of weight sets and their tuning, of customers with their history, and of runs."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import migrations, models
from django.db.models import CheckConstraint, F, Func, Q, UniqueConstraint, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from features.models.weights import above_zero

FEATURE_TYPE_CHOICES = [
    ("customer", "Customer"),
    ("behavioral", "Behavioral"),
    ("contextual", "Contextual"),
    ("derived", "Derived"),
]
EVENT_TYPE_CHOICES = [
    ("page_view", "page view"),
    ("email_open", "email open"),
    ("email_click", "email click"),
    ("form_submit", "form submit"),
    ("purchase", "purchase"),
    ("login", "login"),
]
KIND_CHOICES = [
    ("count", "Count of events"),
    ("sum", "Sum of a metadata key"),
    ("mean", "Mean of a metadata key"),
    ("max", "Largest value of a metadata key"),
    ("last", "Last value of a metadata key"),
    ("distinct", "Number of different values of a metadata key"),
]
VERSION_STATE_CHOICES = [
    ("draft", "Draft"),
    ("shadow", "Shadow"),
    ("live", "Live"),
    ("deprecated", "Deprecated"),
    ("retired", "Retired"),
]
WEIGHT_SET_STATE_CHOICES = [
    ("draft", "Draft"),
    ("proposed", "Proposed"),
    ("approved", "Approved"),
    ("scheduled", "Scheduled"),
    ("active", "Active"),
    ("superseded", "Superseded"),
]
WEIGHT_SET_ACTION_CHOICES = [
    ("created", "Drafted"),
    ("edited", "Changed"),
    ("proposed", "Proposed"),
    ("sent_back", "Sent back to draft"),
    ("approved", "Approved"),
    ("scheduled", "Scheduled"),
    ("unscheduled", "Schedule cancelled"),
    ("activated", "Activated"),
    ("superseded", "Superseded"),
    ("shadowed", "Put into shadow"),
    ("unshadowed", "Taken out of shadow"),
]
RUN_KIND_CHOICES = [
    ("rescore", "Re-score under new weights"),
    ("recompute", "Recompute from events"),
    ("refresh", "Refresh before expiry"),
    ("retention", "Drop months of events past their retention"),
    ("thinning", "Thin out the history past its retention"),
]
RUN_STATE_CHOICES = [("running", "Running"), ("done", "Done"), ("failed", "Failed"), ("overtaken", "Overtaken")]
POSITIVE = MinValueValidator(1)


def identity() -> tuple[str, Any]:
    return "id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


def choice(choices: list[tuple[str, str]], **options: Any) -> Any:
    return models.CharField(choices=choices, max_length=16, **options)


def reference(model: str, related_name: str, *, on_delete: Any = models.CASCADE, **options: Any) -> Any:
    return models.ForeignKey(on_delete=on_delete, related_name=related_name, to=model, **options)


def user(**options: Any) -> Any:
    return reference(settings.AUTH_USER_MODEL, "+", on_delete=models.SET_NULL, null=True, **options)


def check(name: str, condition: Q) -> CheckConstraint:
    return CheckConstraint(condition=condition, name=name)


def unique(name: str, *fields: str, where: Q | None = None) -> UniqueConstraint:
    return UniqueConstraint(fields=fields, condition=where, name=name)


REGISTRY_TABLES = [
    migrations.CreateModel(
        name="FeatureDefinition",
        fields=[
            identity(),
            (
                "name",
                models.CharField(
                    max_length=64,
                    unique=True,
                    validators=[RegexValidator("^[a-z][a-z0-9_]*$", "Use lower-case letters, digits and underscores.")],
                ),
            ),
            ("feature_type", choice(FEATURE_TYPE_CHOICES)),
            ("description", models.TextField(blank=True)),
            ("owner", models.CharField(blank=True, max_length=128)),
            ("unit", models.CharField(blank=True, max_length=32)),
            ("default", models.FloatField(default=0.0)),
            ("minimum", models.FloatField(blank=True, null=True)),
            ("maximum", models.FloatField(blank=True, null=True)),
            ("tags", models.JSONField(blank=True, default=list)),
            ("kind", choice(KIND_CHOICES, blank=True)),
            ("event_type", choice(EVENT_TYPE_CHOICES, blank=True)),
            ("category", models.TextField(blank=True, null=True)),
            (
                "metadata_key",
                models.CharField(
                    blank=True,
                    max_length=64,
                    validators=[
                        RegexValidator("^[A-Za-z0-9_.-]+$", "Use letters, digits, underscores, dots and dashes.")
                    ],
                ),
            ),
            (
                "window_days",
                models.PositiveSmallIntegerField(blank=True, null=True, validators=[POSITIVE, MaxValueValidator(90)]),
            ),
            ("half_life_days", models.FloatField(blank=True, null=True)),
            ("expression", models.TextField(blank=True)),
        ],
        options={
            "ordering": ["feature_type", "name"],
            "constraints": [
                check("definition_feature_type_is_known", Q(feature_type__in=list(dict(FEATURE_TYPE_CHOICES)))),
                check("definition_range_is_not_empty", Q(minimum__lte=F("maximum"))),
                check(
                    "definition_window_is_behavioral",
                    Q(kind="", window_days__isnull=True)
                    | Q(feature_type="behavioral", window_days__gte=1, window_days__lte=90),
                ),
                check(
                    "definition_kind_has_its_key",
                    Q(kind__in=["", "count"], metadata_key="")
                    | (Q(kind__in=["sum", "mean", "max", "last", "distinct"]) & ~Q(metadata_key="")),
                ),
                check(
                    "definition_half_life_is_of_a_kind_that_decays",
                    Q(half_life_days__isnull=True) | Q(kind__in=["count", "sum", "mean"], half_life_days__gt=0),
                ),
                check("definition_expression_is_derived", Q(expression="") | Q(feature_type="derived")),
            ],
        },
    ),
    migrations.CreateModel(
        name="FeatureVersion",
        fields=[
            identity(),
            ("feature_type", choice(FEATURE_TYPE_CHOICES)),
            (
                "number",
                models.CharField(
                    max_length=16, validators=[RegexValidator(r"^\d+(\.\d+)*$", "A version looks like 1.0.")]
                ),
            ),
            ("state", choice(VERSION_STATE_CHOICES, default="draft")),
            (
                "definitions",
                models.ManyToManyField(blank=True, related_name="versions", to="features.featuredefinition"),
            ),
            ("inputs", models.JSONField(blank=True, default=dict)),
            ("time_to_live", models.PositiveIntegerField(blank=True, null=True, validators=[POSITIVE])),
            ("live_from", models.DateTimeField(editable=False, null=True)),
        ],
        options={
            "ordering": ["feature_type", "number"],
            "permissions": [("release_featureversion", "Can put versions into shadow, live and out of use")],
            "constraints": [
                unique("version_is_unique", "feature_type", "number"),
                unique("version_one_live", "feature_type", where=Q(state="live")),
                check("version_state_is_known", Q(state__in=list(dict(VERSION_STATE_CHOICES)))),
                check(
                    "version_that_went_live_is_dated",
                    ~Q(state__in=["live", "deprecated"]) | Q(live_from__isnull=False),
                ),
                check("version_time_to_live_is_positive", Q(time_to_live__isnull=True) | Q(time_to_live__gt=0)),
            ],
        },
    ),
    migrations.CreateModel(
        name="FeatureVersionStep",
        fields=[
            identity(),
            ("version", reference("features.featureversion", "steps")),
            ("state", choice(VERSION_STATE_CHOICES)),
            ("by", user()),
            ("at", models.DateTimeField(db_default=Now())),
            ("reason", models.TextField(blank=True)),
        ],
        options={"ordering": ["id"]},
    ),
    migrations.CreateModel(
        name="VersionUse",
        fields=[
            identity(),
            ("api_key", reference("access.apikey", "version_uses")),
            ("version", reference("features.featureversion", "uses", db_index=False)),
            ("kind", models.CharField(choices=[("read", "Read"), ("write", "Write")], max_length=8)),
            ("used_at", models.DateTimeField()),
        ],
        options={
            "constraints": [
                unique("version_use_is_unique", "version", "api_key", "kind"),
                check("version_use_kind_is_known", Q(kind__in=["read", "write"])),
            ],
        },
    ),
]

WEIGHT_SET_TABLES = [
    migrations.CreateModel(
        name="WeightSet",
        fields=[
            identity(),
            ("version", reference("features.featureversion", "weight_sets", on_delete=models.PROTECT)),
            ("name", models.CharField(max_length=128)),
            ("state", choice(WEIGHT_SET_STATE_CHOICES, default="draft", editable=False)),
            (
                "origin",
                choice(
                    [("hand", "Hand"), ("proposal", "Proposal"), ("rollback", "Rollback")],
                    default="hand",
                    editable=False,
                ),
            ),
            (
                "reason",
                models.TextField(
                    help_text="What should get better with these weights? It is kept with the set.",
                    verbose_name="why",
                ),
            ),
            (
                "monetary_norm",
                models.FloatField(
                    default=1000.0,
                    help_text="The purchase amount of 30 days that gives a monetary_score of 1.",
                    validators=[above_zero],
                ),
            ),
            ("created_by", user(blank=True, editable=False)),
            ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
            ("approved_by", user(blank=True, editable=False)),
            ("approved_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ("activate_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ("shadow_since", models.DateTimeField(blank=True, editable=False, null=True)),
            ("activated_by", user(blank=True, editable=False)),
            ("activated_at", models.DateTimeField(blank=True, editable=False, null=True)),
        ],
        options={
            "ordering": ["-id"],
            "permissions": [
                ("approve_weightset", "Can approve weight sets"),
                ("activate_weightset", "Can schedule, activate and roll back weight sets"),
            ],
            "constraints": [
                unique("weight_set_one_active", "version", where=Q(state="active")),
                check(
                    "weight_set_monetary_norm_is_positive",
                    Q(monetary_norm__gt=0, monetary_norm__lt=float("inf")),
                ),
                check(
                    "weight_set_approval_is_dated",
                    Q(state__in=["draft", "proposed"], approved_at__isnull=True)
                    | Q(state__in=["approved", "scheduled"], approved_at__isnull=False)
                    | Q(state__in=["active", "superseded"]),
                ),
                check(
                    "weight_set_in_shadow_does_not_change",
                    Q(shadow_since__isnull=True) | Q(state__in=["proposed", "approved", "scheduled"]),
                ),
                check(
                    "weight_set_schedule_has_a_moment",
                    Q(state="scheduled", activate_at__isnull=False)
                    | (~Q(state="scheduled") & Q(activate_at__isnull=True)),
                ),
                check(
                    "weight_set_activation_is_dated",
                    Q(state__in=["active", "superseded"], activated_at__isnull=False)
                    | (~Q(state__in=["active", "superseded"]) & Q(activated_at__isnull=True)),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="WeightSetStep",
        fields=[
            identity(),
            ("weight_set", reference("features.weightset", "steps")),
            ("action", choice(WEIGHT_SET_ACTION_CHOICES)),
            ("by", user()),
            ("at", models.DateTimeField(db_default=Now())),
            ("reason", models.TextField(blank=True)),
        ],
        options={
            "ordering": ["id"],
            "constraints": [
                check("weight_set_step_action_is_known", Q(action__in=list(dict(WEIGHT_SET_ACTION_CHOICES))))
            ],
        },
    ),
    migrations.CreateModel(
        name="Weight",
        fields=[
            identity(),
            ("weight_set", reference("features.weightset", "weights")),
            ("event_type", choice(EVENT_TYPE_CHOICES)),
            (
                "weight",
                models.FloatField(
                    help_text="What this event type adds to the score at its norm.",
                    validators=[MinValueValidator(0.0, "A weight is at least 0.")],
                ),
            ),
            (
                "norm",
                models.FloatField(
                    help_text="The count at which this event type contributes its whole weight.",
                    validators=[above_zero],
                ),
            ),
        ],
        options={
            "ordering": ["id"],
            "constraints": [
                unique("weight_one_per_event_type", "weight_set", "event_type"),
                check("weight_event_type_is_known", Q(event_type__in=tuple(dict(EVENT_TYPE_CHOICES)))),
                check("weight_is_not_negative", Q(weight__gte=0, weight__lt=float("inf"))),
                check("weight_norm_is_positive", Q(norm__gt=0, norm__lt=float("inf"))),
            ],
        },
    ),
]

CUSTOMER_TABLES = [
    migrations.CreateModel(
        name="Customer",
        fields=[
            ("customer_id", models.CharField(max_length=128, primary_key=True, serialize=False)),
            ("first_seen_at", models.DateTimeField(db_default=Now())),
            ("computed_at", models.DateTimeField(null=True)),
            ("recompute_at", models.DateTimeField(null=True)),
            (
                "weight_set",
                reference("features.weightset", "+", on_delete=models.PROTECT, db_index=False, null=True),
            ),
            (
                "bucket",
                models.GeneratedField(
                    db_persist=True,
                    expression=CombinedExpression(
                        Func(
                            F("customer_id"),
                            Value(0),
                            function="hashtextextended",
                            output_field=models.BigIntegerField(),
                        ),
                        "&",
                        Value(255),
                    ),
                    output_field=models.SmallIntegerField(),
                ),
            ),
        ],
        options={
            "indexes": [
                models.Index(
                    fields=["recompute_at"], name="customer_recompute", condition=Q(recompute_at__isnull=False)
                ),
                models.Index(fields=["bucket"], name="customer_bucket"),
                models.Index(fields=["weight_set", "customer_id"], name="customer_rescore"),
            ],
        },
    ),
    migrations.CreateModel(
        name="Renewal",
        fields=[
            ("bucket", models.SmallIntegerField(primary_key=True, serialize=False)),
            ("renewed_at", models.DateTimeField(null=True)),
            ("due_at", models.DateTimeField(db_default=Now())),
        ],
    ),
    migrations.CreateModel(
        name="CustomerFeature",
        fields=[
            identity(),
            ("customer_id", models.CharField(max_length=128)),
            ("feature_type", choice(FEATURE_TYPE_CHOICES)),
            ("version", models.CharField(max_length=16)),
            ("timestamp", models.DateTimeField()),
            ("recorded_at", models.DateTimeField(db_default=Now())),
            ("features", models.JSONField()),
            ("metadata", models.JSONField(default=dict)),
        ],
        options={
            "indexes": [
                models.Index(
                    fields=["customer_id", "feature_type", "version", "-timestamp", "-id"],
                    name="customer_feature_as_of",
                ),
            ],
            "constraints": [
                check("customer_feature_type_is_known", Q(feature_type__in=list(dict(FEATURE_TYPE_CHOICES)))),
            ],
        },
    ),
    migrations.CreateModel(
        name="Publication",
        fields=[
            identity(),
            ("customer_ids", ArrayField(base_field=models.CharField(max_length=128), size=None)),
            ("due_at", models.DateTimeField()),
        ],
    ),
]

RUN_TABLES = [
    migrations.CreateModel(
        name="Run",
        fields=[
            identity(),
            ("kind", choice(RUN_KIND_CHOICES)),
            ("state", choice(RUN_STATE_CHOICES, default="running")),
            ("weight_set", reference("features.weightset", "runs", blank=True, null=True)),
            ("version", reference("features.featureversion", "runs", blank=True, null=True)),
            ("total", models.PositiveBigIntegerField(default=0)),
            ("done", models.PositiveBigIntegerField(default=0)),
            ("error", models.TextField(blank=True)),
            ("started_at", models.DateTimeField(db_default=Now())),
            ("updated_at", models.DateTimeField(db_default=Now())),
            ("as_of", models.DateTimeField(blank=True, null=True)),
        ],
        options={
            "ordering": ["-id"],
            "constraints": [
                unique(
                    "run_one_at_a_time",
                    "kind",
                    where=Q(state="running", kind__in=["refresh", "retention", "thinning"]),
                ),
                unique("run_one_of_a_version_at_a_time", "version", where=Q(state="running")),
            ],
        },
    ),
    migrations.CreateModel(
        name="RunChunk",
        fields=[
            identity(),
            ("run", reference("features.run", "chunks", db_index=False)),
            ("number", models.PositiveIntegerField()),
            ("due_at", models.DateTimeField(db_default=Now())),
        ],
        options={"constraints": [unique("run_chunk_is_unique", "run", "number")]},
    ),
]

TUNING_TABLES = [
    migrations.CreateModel(
        name="Backtest",
        fields=[
            identity(),
            ("weight_set", reference("features.weightset", "backtests")),
            ("against", reference("features.weightset", "+")),
            ("numbers", models.JSONField()),
            ("first_day", models.DateField()),
            ("last_day", models.DateField()),
            ("every_days", models.PositiveSmallIntegerField()),
            ("horizon_days", models.PositiveSmallIntegerField()),
            ("state", choice([("running", "Running"), ("done", "Done")], default="running")),
            ("total", models.PositiveIntegerField()),
            ("done", models.PositiveIntegerField(default=0)),
            ("result", models.JSONField(null=True)),
            ("created_by", user()),
            ("started_at", models.DateTimeField(db_default=Now())),
            ("updated_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "ordering": ["-id"],
            "constraints": [
                check(
                    "backtest_days_are_in_order",
                    Q(first_day__lte=F("last_day"), every_days__gt=0, horizon_days__gt=0),
                ),
                check(
                    "backtest_is_done_with_a_result",
                    Q(state="running", result__isnull=True) | Q(state="done", result__isnull=False),
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="BacktestDay",
        fields=[
            identity(),
            ("backtest", reference("features.backtest", "days")),
            ("day", models.DateField()),
            ("columns", models.BinaryField()),
        ],
        options={"constraints": [unique("backtest_day_is_scored_once", "backtest", "day")]},
    ),
    migrations.CreateModel(
        name="ShadowDay",
        fields=[
            identity(),
            ("weight_set", reference("features.weightset", "shadow_days")),
            ("against", reference("features.weightset", "+")),
            ("day", models.DateField()),
            ("customers", models.PositiveIntegerField()),
            ("mean_active", models.FloatField()),
            ("mean_shadow", models.FloatField()),
            ("mean_difference", models.FloatField(help_text="Mean of the sizes of the customers' differences.")),
            ("rank_correlation", models.FloatField(null=True)),
            ("observed_at", models.DateTimeField()),
        ],
        options={
            "ordering": ["day"],
            "constraints": [unique("shadow_day_is_kept_once", "weight_set", "day")],
        },
    ),
    migrations.CreateModel(
        name="Fitting",
        fields=[
            identity(),
            ("at", models.DateTimeField(db_default=Now())),
            ("outcome", models.TextField()),
            ("weight_set", reference("features.weightset", "fittings", null=True)),
        ],
        options={"ordering": ["-id"]},
    ),
]


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("access", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [*REGISTRY_TABLES, *WEIGHT_SET_TABLES, *CUSTOMER_TABLES, *RUN_TABLES, *TUNING_TABLES]
