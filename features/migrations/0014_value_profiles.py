import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Daily profiles of feature values, what they are compared with, and events by the hour."""

    dependencies = [
        ("features", "0013_first_listed_features"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BaselineWeek",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("first_day", models.DateField()),
                ("chosen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("reason", models.TextField()),
                (
                    "chosen_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="EventHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField()),
                ("event_type", models.CharField(max_length=16)),
                ("events", models.PositiveBigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("hour", "event_type"), name="event_hour_is_kept_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            event_type__in=(
                                "page_view",
                                "email_open",
                                "email_click",
                                "form_submit",
                                "purchase",
                                "login",
                            )
                        ),
                        name="event_hour_type_is_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FeatureThresholds",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64, unique=True)),
                ("stability_index", models.FloatField()),
                ("largest_distance", models.FloatField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(largest_distance__gt=0, largest_distance__lte=1, stability_index__gt=0),
                        name="feature_thresholds_are_positive",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ProfiledDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("running", "Running"), ("done", "Done")], default="running", max_length=16
                    ),
                ),
                ("is_everybody", models.BooleanField()),
                (
                    "waiting",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                ("customers", models.PositiveIntegerField(default=0)),
                ("done_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-day"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(done_at__isnull=True, state="running")
                        | models.Q(done_at__isnull=False, state="done", waiting__len=0),
                        name="profiled_day_is_done_with_a_date",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ProfilePart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("columns", models.BinaryField()),
                (
                    "day",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="parts", to="features.profiledday"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="FeatureProfile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("feature_type", models.CharField(max_length=16)),
                ("version", models.CharField(max_length=16)),
                ("name", models.CharField(max_length=64)),
                ("customers", models.PositiveIntegerField()),
                ("missing", models.PositiveIntegerField()),
                ("mean", models.FloatField(null=True)),
                ("edges", django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(), size=None)),
                ("shares", django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(), size=None)),
                (
                    "day",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="features",
                        to="features.profiledday",
                    ),
                ),
            ],
            options={
                "ordering": ["-day__day", "name"],
                "verbose_name_plural": "value monitoring",
                "indexes": [models.Index(fields=["name"], name="feature_profile_name")],
                "constraints": [
                    models.UniqueConstraint(fields=("day", "name"), name="feature_profile_is_kept_once"),
                    models.CheckConstraint(
                        condition=models.Q(missing__lte=models.F("customers")),
                        name="feature_profile_missing_are_customers",
                    ),
                ],
            },
        ),
    ]
