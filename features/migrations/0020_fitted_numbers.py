from django.db import migrations, models


class Migration(migrations.Migration):
    """A fitting keeps its weights, also where they were refused."""

    dependencies = [("features", "0019_words")]

    operations = [migrations.AddField(model_name="fitting", name="numbers", field=models.JSONField(null=True))]
