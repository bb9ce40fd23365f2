"""The task that fits weights to later purchases: Mondays at 03:00 UTC, once an operator enables it in the admin."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

NAME = "Fit weights to later purchases and propose them"
TASK = "features.fit_weights"


def schedule(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="0", hour="3", day_of_week="1", day_of_month="*", month_of_year="*", timezone="UTC"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.create(
        name=NAME, task=TASK, queue="batch", crontab=crontab, enabled=False
    )


def unschedule(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [("features", "0012_fittings")]

    operations = [migrations.RunPython(schedule, unschedule)]
