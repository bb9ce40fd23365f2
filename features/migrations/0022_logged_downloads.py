"""Give downloads of customer lists a kind of their own in the activity log."""

from importlib import import_module

from django.db import migrations, models

created = import_module("features.migrations.0018_activity_log")
BEFORE = created.CREATE_VIEW.replace("create view", "create or replace view")
ERASURES = "('events', 'erasedcustomer', 'erasures')"
AFTER = BEFORE.replace(ERASURES, f"{ERASURES}, ('features', 'customer', 'downloads')")
KINDS = [*created.KINDS[:-2], ("downloads", "Downloads"), *created.KINDS[-2:]]


class Migration(migrations.Migration):
    dependencies = [("features", "0021_task_names")]

    operations = [
        migrations.RunSQL(AFTER, BEFORE),
        migrations.AlterField("activitylogentry", "kind", models.CharField(choices=KINDS, max_length=16)),
    ]
