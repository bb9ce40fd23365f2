"""Insert the periodic tasks that count events and measure the store; operators change them in the admin."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# name → (task, queue, interval in seconds)
SERIES_TASKS = {
    "Count the events by type for the Overview": ("features.count_arrivals", "batch", 10),
    "Measure customers and backlog for the Overview": ("features.measure", "batch", 60),
}


def insert_series_tasks(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects
    for name, (task, queue, seconds) in SERIES_TASKS.items():
        interval, _ = intervals.get_or_create(every=seconds, period="seconds")
        tasks.create(name=name, task=task, queue=queue, interval=interval, expire_seconds=seconds)


def delete_series_tasks(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name__in=SERIES_TASKS).delete()


class Migration(migrations.Migration):
    dependencies = [("features", "0016_series")]

    operations = [migrations.RunPython(insert_series_tasks, delete_series_tasks)]
