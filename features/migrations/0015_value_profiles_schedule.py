"""Insert the periodic tasks that profile values and count events; operators change them in the admin."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# name → (task, interval in seconds). Where nothing is to be done, each costs a query.
TASKS = {
    "Profile the values of days that are over": ("features.profile_values", 600),
    "Count the events of the last hours": ("features.count_events", 600),
}


def insert_tasks(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for name, (task, seconds) in TASKS.items():
        interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
            every=seconds, period="seconds"
        )
        apps.get_model("django_celery_beat", "PeriodicTask").objects.create(
            name=name, task=task, queue="batch", interval=interval, expire_seconds=seconds
        )


def delete_tasks(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name__in=TASKS).delete()


class Migration(migrations.Migration):
    dependencies = [("features", "0014_value_profiles"), ("django_celery_beat", "0019_alter_periodictasks_options")]

    operations = [migrations.RunPython(insert_tasks, delete_tasks)]
