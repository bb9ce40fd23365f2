"""Create the aggregate that merges objects in their order: what clients write over what they wrote before."""

from django.db import migrations

CREATE = "create aggregate features_merged(jsonb) (sfunc = jsonb_concat, stype = jsonb, initcond = '{}')"
DROP = "drop aggregate features_merged(jsonb)"


class Migration(migrations.Migration):
    dependencies = [("features", "0028_departed_schedule")]
    operations = [migrations.RunSQL(CREATE, DROP)]
