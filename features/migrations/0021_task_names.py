"""Rename the periodic tasks to what operators look for; their schedules stay as they are."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

RENAMED = {
    "Settle due marks": "Compute customers with new events",
    "Renew active customers before their TTL ends": "Refresh active customers before the cache expires",
    "Resume runs that nobody goes on with": "Resume stalled jobs",
    "Make months of events ahead, drop expired ones": "Create event partitions, drop expired ones",
    "Resume backtests that nobody goes on with": "Resume stalled backtests",
    "Observe the weight sets in shadow": "Score the weight sets in shadow",
    "Publish what a process that died has left": "Publish what a stopped process has left",
    "Compare what is served with the events": "Check consistency",
}


def rename(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects
    for before, after in RENAMED.items():
        tasks.filter(name=before).update(name=after)


def rename_back(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects
    for before, after in RENAMED.items():
        tasks.filter(name=after).update(name=before)


class Migration(migrations.Migration):
    dependencies = [("features", "0020_fitted_numbers")]

    operations = [migrations.RunPython(rename, rename_back)]
