"""The periodic tasks, in the table that beat reads: an operator changes them in the admin."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# name → (task, queue, every so many seconds). A message that waited longer than that is dropped: the next is there.
SCHEDULE = {
    "Settle due marks": ("features.refresh_dirty", "realtime", 1),
    "Renew active customers before their TTL ends": ("features.refresh_active", "batch", 1),
    "Resume runs that nobody goes on with": ("features.resume_runs", "batch", 10),
}


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
        ("features", "0003_first_definitions_and_weights"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(schedule, unschedule)]
