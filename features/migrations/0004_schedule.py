"""Insert the periodic tasks into the tables that Celery beat reads; operators change them in the admin."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# name → (task, queue, interval in seconds). A message expires after one interval, when the next one is sent.
INTERVAL_TASKS = {
    "Settle due marks": ("features.refresh_dirty", "realtime", 1),
    "Renew active customers before their TTL ends": ("features.refresh_active", "batch", 1),
    "Resume runs that nobody goes on with": ("features.resume_runs", "batch", 10),
    "Activate scheduled weight sets": ("features.activate_due_weights", "batch", 5),
    "Make months of events ahead, drop expired ones": ("features.maintain_events", "batch", 3600),
    "Thin out old history": ("features.thin_history", "batch", 86_400),
    "Resume backtests that nobody goes on with": ("features.resume_backtests", "batch", 60),
    "Observe the weight sets in shadow": ("features.observe_shadows", "batch", 1800),
    "Publish what a process that died has left": ("features.publish_overdue", "realtime", 5),
}
FITTING = "Fit weights to later purchases and propose them"


def insert_interval_tasks(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects
    for name, (task, queue, seconds) in INTERVAL_TASKS.items():
        interval, _ = intervals.get_or_create(every=seconds, period="seconds")
        tasks.create(name=name, task=task, queue=queue, interval=interval, expire_seconds=seconds)


def insert_fitting(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Insert the fitting of weights: Mondays at 03:00 UTC, disabled until an operator enables it."""
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="0", hour="3", day_of_week="1", day_of_month="*", month_of_year="*", timezone="UTC"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.create(
        name=FITTING, task="features.fit_weights", queue="batch", crontab=crontab, enabled=False
    )


def delete_tasks(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects
    tasks.filter(name__in=[*INTERVAL_TASKS, FITTING]).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("features", "0003_first_definitions"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.RunPython(insert_interval_tasks, delete_tasks),
        migrations.RunPython(insert_fitting, migrations.RunPython.noop),
    ]
