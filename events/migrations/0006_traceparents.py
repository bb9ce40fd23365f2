from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0005_first_event_types")]

    operations = [
        # With a default in PostgreSQL, since the code of before writes marks without it during an upgrade.
        migrations.AddField(
            model_name="dirtycustomer",
            name="traceparent",
            field=models.CharField(blank=True, db_default="", default="", max_length=55),
        ),
    ]
