"""The index that finds everybody's events of a time range, and what a mark is called in the admin."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("events", "0002_erasedcustomer")]

    operations = [
        migrations.AlterModelOptions(name="dirtycustomer", options={"verbose_name": "dirty mark"}),
        migrations.AddIndex(
            model_name="event",
            index=BrinIndex(fields=["timestamp"], name="event_moments", autosummarize=True),
        ),
    ]
