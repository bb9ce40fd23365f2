from django.db import migrations


class Migration(migrations.Migration):
    """Names for readers of the admin; nothing changes in the database."""

    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.AlterModelOptions(
            name="dirtycustomer",
            options={"verbose_name": "waiting customer", "verbose_name_plural": "backlog"},
        )
    ]
