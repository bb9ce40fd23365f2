"""Create the points of time series, and the row that says which events are counted."""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import Q

RESOLUTIONS = ("minute", "hour", "ever")


class Migration(migrations.Migration):
    dependencies = [("features", "0015_value_profiles_schedule")]

    operations = [
        migrations.CreateModel(
            name="SeriesPoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("resolution", models.CharField(choices=[(n, n.capitalize()) for n in RESOLUTIONS], max_length=8)),
                ("name", models.CharField(max_length=64)),
                ("start", models.DateTimeField()),
                (
                    "labels",
                    django.contrib.postgres.fields.ArrayField(
                        models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                ("count", models.BigIntegerField(default=0)),
                ("total", models.FloatField(default=0.0)),
                (
                    "buckets",
                    django.contrib.postgres.fields.ArrayField(models.BigIntegerField(), default=list, size=None),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["resolution", "start"], name="series_point_age")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("resolution", "name", "start", "labels"), name="series_point_is_unique"
                    ),
                    models.CheckConstraint(
                        condition=Q(resolution__in=["minute", "hour", "ever"]),
                        name="series_point_resolution_is_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CountedEvents",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("counted_to", models.BigIntegerField()),
                ("seen_to", models.BigIntegerField()),
                ("seen_before", models.BigIntegerField()),
            ],
        ),
    ]
