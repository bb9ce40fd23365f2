from django.db import migrations


class Migration(migrations.Migration):
    """Names for readers of the admin; nothing changes in the database."""

    dependencies = [("features", "0018_activity_log")]

    operations = [
        migrations.AlterModelOptions(
            name="customerfeature",
            options={"verbose_name": "row of the feature history", "verbose_name_plural": "feature history"},
        ),
        migrations.AlterModelOptions(name="run", options={"ordering": ["-id"], "verbose_name": "job"}),
    ]
