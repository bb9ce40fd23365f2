"""Renewal by buckets, long work in chunks, retention; the buckets themselves, and when all this is done."""

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BUCKETS = 256
# name → (task, queue, every so many seconds), as in 0004.
SCHEDULE = {
    "Make months of events ahead, drop expired ones": ("features.maintain_events", "batch", 3600),
    "Thin out old history": ("features.thin_history", "batch", 86_400),
}


def fill_buckets(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    renewal_model = apps.get_model("features", "Renewal")
    renewal_model.objects.bulk_create(renewal_model(bucket=bucket) for bucket in range(BUCKETS))


def schedule(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    interval_model = apps.get_model("django_celery_beat", "IntervalSchedule")
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    for name, (task, queue, seconds) in SCHEDULE.items():
        interval, _ = interval_model.objects.get_or_create(every=seconds, period="seconds")
        task_model.objects.create(name=name, task=task, queue=queue, interval=interval, expire_seconds=seconds)


def unschedule(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name__in=SCHEDULE).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("features", "0006_weights_change_in_drafts_only"),
    ]

    operations = [
        migrations.CreateModel(
            name="Renewal",
            fields=[
                ("bucket", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("renewed_at", models.DateTimeField(null=True)),
                ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name="RunChunk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RemoveIndex(
            model_name="customer",
            name="customer_renewal",
        ),
        migrations.AddField(
            model_name="customer",
            name="bucket",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.db.models.expressions.CombinedExpression(
                    models.Func(
                        models.F("customer_id"),
                        models.Value(0),
                        function="hashtextextended",
                        output_field=models.BigIntegerField(),
                    ),
                    "&",
                    models.Value(255),
                ),
                output_field=models.SmallIntegerField(),
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="as_of",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="run",
            name="kind",
            field=models.CharField(
                choices=[
                    ("rescore", "Re-score under new weights"),
                    ("recompute", "Recompute from events"),
                    ("refresh", "Refresh before expiry"),
                    ("retention", "Drop months of events past their retention"),
                    ("thinning", "Thin out the history past its retention"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="customer",
            index=models.Index(fields=["bucket"], name="customer_bucket"),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind__in", ["refresh", "retention", "thinning"]), ("state", "running")),
                fields=("kind",),
                name="run_one_at_a_time",
            ),
        ),
        migrations.AddField(
            model_name="runchunk",
            name="run",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="chunks", to="features.run"
            ),
        ),
        migrations.AddConstraint(
            model_name="runchunk",
            constraint=models.UniqueConstraint(fields=("run", "number"), name="run_chunk_is_unique"),
        ),
        migrations.RunPython(fill_buckets, migrations.RunPython.noop),
        migrations.RunPython(schedule, unschedule),
    ]
