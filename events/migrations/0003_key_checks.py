from django.db import migrations, models


class Migration(migrations.Migration):
    """Tombstones tell under which key they were made."""

    dependencies = [("events", "0002_words")]

    operations = [
        migrations.AddField(
            model_name="erasedcustomer",
            name="key_check",
            field=models.BinaryField(editable=False, max_length=8, null=True),
        )
    ]
