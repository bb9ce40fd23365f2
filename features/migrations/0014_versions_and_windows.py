"""Windowed and derived definitions, the life of versions, and who reads them."""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_initial"),
        ("features", "0013_fitting_schedule"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="FeatureVersionStep",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("shadow", "Shadow"),
                            ("live", "Live"),
                            ("deprecated", "Deprecated"),
                            ("retired", "Retired"),
                        ],
                        max_length=16,
                    ),
                ),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("reason", models.TextField(blank=True)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="VersionRead",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("read_at", models.DateTimeField()),
            ],
        ),
        migrations.AlterModelOptions(
            name="featureversion",
            options={
                "ordering": ["feature_type", "number"],
                "permissions": [("release_featureversion", "Can put versions into shadow, live and out of use")],
            },
        ),
        migrations.AddField(
            model_name="featuredefinition",
            name="category",
            field=models.TextField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="featuredefinition",
            name="default",
            field=models.FloatField(default=0.0),
        ),
        migrations.AddField(
            model_name="featuredefinition",
            name="event_type",
            field=models.CharField(
                blank=True,
                choices=[
                    ("page_view", "page view"),
                    ("email_open", "email open"),
                    ("email_click", "email click"),
                    ("form_submit", "form submit"),
                    ("purchase", "purchase"),
                    ("login", "login"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="featuredefinition",
            name="expression",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="featuredefinition",
            name="half_life_days",
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="featuredefinition",
            name="kind",
            field=models.CharField(
                blank=True,
                choices=[
                    ("count", "Count of events"),
                    ("sum", "Sum of a metadata key"),
                    ("mean", "Mean of a metadata key"),
                    ("max", "Largest value of a metadata key"),
                    ("last", "Last value of a metadata key"),
                    ("distinct", "Number of different values of a metadata key"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="featuredefinition",
            name="metadata_key",
            field=models.CharField(
                blank=True,
                max_length=64,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z0-9_.-]+$", "Use letters, digits, underscores, dots and dashes."
                    )
                ],
            ),
        ),
        migrations.AddField(
            model_name="featuredefinition",
            name="window_days",
            field=models.PositiveSmallIntegerField(
                blank=True,
                null=True,
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(90)],
            ),
        ),
        migrations.AddField(
            model_name="featureversion",
            name="inputs",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="featureversion",
            name="live_from",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="featureversion",
            name="time_to_live",
            field=models.PositiveIntegerField(
                blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
            ),
        ),
        migrations.AddConstraint(
            model_name="featuredefinition",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", ""), ("window_days__isnull", True)),
                    models.Q(("feature_type", "behavioral"), ("window_days__gte", 1), ("window_days__lte", 90)),
                    _connector="OR",
                ),
                name="definition_window_is_behavioral",
            ),
        ),
        migrations.AddConstraint(
            model_name="featuredefinition",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind__in", ["", "count"]), ("metadata_key", "")),
                    models.Q(
                        ("kind__in", ["sum", "mean", "max", "last", "distinct"]),
                        models.Q(("metadata_key", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="definition_kind_has_its_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="featuredefinition",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("half_life_days__isnull", True),
                    models.Q(("half_life_days__gt", 0), ("kind__in", ["count", "sum", "mean"])),
                    _connector="OR",
                ),
                name="definition_half_life_is_of_a_kind_that_decays",
            ),
        ),
        migrations.AddConstraint(
            model_name="featuredefinition",
            constraint=models.CheckConstraint(
                condition=models.Q(("expression", ""), ("feature_type", "derived"), _connector="OR"),
                name="definition_expression_is_derived",
            ),
        ),
        migrations.AddConstraint(
            model_name="featureversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["draft", "shadow", "live", "deprecated", "retired"])),
                name="version_state_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="featureversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("time_to_live__isnull", True), ("time_to_live__gt", 0), _connector="OR"),
                name="version_time_to_live_is_positive",
            ),
        ),
        migrations.AddField(
            model_name="featureversionstep",
            name="by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="featureversionstep",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="steps", to="features.featureversion"
            ),
        ),
        migrations.AddField(
            model_name="versionread",
            name="api_key",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="version_reads", to="access.apikey"
            ),
        ),
        migrations.AddField(
            model_name="versionread",
            name="version",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="reads",
                to="features.featureversion",
            ),
        ),
        migrations.AddConstraint(
            model_name="versionread",
            constraint=models.UniqueConstraint(fields=("version", "api_key"), name="version_read_is_unique"),
        ),
    ]
