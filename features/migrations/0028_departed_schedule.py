"""Insert the periodic task that computes customers as soon as an event leaves a window; operators change it."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

NAME = "Compute customers that an event has left"


def insert_task(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    interval, _ = intervals.get_or_create(every=1, period="seconds")
    apps.get_model("django_celery_beat", "PeriodicTask").objects.create(
        name=NAME, task="features.refresh_departed", queue="realtime", interval=interval, expire_seconds=1
    )


def delete_task(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [("features", "0027_window_days_unused")]

    operations = [migrations.RunPython(insert_task, delete_task)]
