"""Insert the periodic task that begins a check of consistency; operators change it in the admin."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

CHECK = "Compare what is served with the events"
SECONDS = 3600


def insert_check(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=SECONDS, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.create(
        name=CHECK, task="features.begin_check", queue="batch", interval=interval, expire_seconds=SECONDS
    )


def delete_check(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=CHECK).delete()


class Migration(migrations.Migration):
    dependencies = [("features", "0007_consistency")]

    operations = [migrations.RunPython(insert_check, delete_check)]
