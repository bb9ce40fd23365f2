from django.db import migrations

FILL = "update features_featuredefinition set window_hours = window_days * 24 where window_hours is null"


class Migration(migrations.Migration):
    """Write the windows of the definitions in hours."""

    dependencies = [("features", "0025_window_hours")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
