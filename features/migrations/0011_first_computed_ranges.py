"""Note from when on the versions that are there have values: the moment at which they went into shadow.

Versions that never did, the first ones of each type, have no range, so that nothing is said of their past.
"""

from django.db import migrations

INSERT = """
insert into features_computedrange (version_id, since, recorded_at)
select version.id, min(step.at), min(step.at)
from features_featureversion version
join features_featureversionstep step on step.version_id = version.id and step.state = 'shadow'
where version.feature_type in ('behavioral', 'derived')
group by version.id
"""


class Migration(migrations.Migration):
    dependencies = [("features", "0010_going_live")]

    operations = [migrations.RunSQL(INSERT, migrations.RunSQL.noop)]
