from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Now

SWEEP = "Publish what a process that died has left"


def insert_online_store(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("features", "OnlineStore").objects.create()


def set_sweep_interval(apps: Apps, *, seconds: int) -> None:
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=seconds, period="seconds"
    )
    task = apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=SWEEP)
    task.update(interval=interval, expire_seconds=seconds)


def sweep_every_second(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    set_sweep_interval(apps, seconds=1)


def sweep_every_five_seconds(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    set_sweep_interval(apps, seconds=5)


class Migration(migrations.Migration):
    """Publications are kept until Redis can't lose them any more, and one row says which Redis holds everything."""

    dependencies = [("features", "0005_versions_put_aside")]
    operations = [
        migrations.AddField("publication", "created_at", models.DateTimeField(db_default=Now())),
        migrations.AddField("publication", "published_at", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="OnlineStore",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("identity", models.CharField(blank=True, max_length=128)),
                ("checked_at", models.DateTimeField(db_default=Now())),
                ("found", models.CharField(blank=True, max_length=128)),
                ("found_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RunPython(insert_online_store, migrations.RunPython.noop),
        migrations.RunPython(sweep_every_second, sweep_every_five_seconds),
    ]
