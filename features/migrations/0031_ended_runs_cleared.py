"""Clear what runs have left that an earlier release ended as failed between two of its statements."""

from django.db import migrations

# The tables of activity of runs that have ended; the versions that such a run had taken up.
CLEAR = r"""
do $$ declare
    name text;
begin
    for name in
        select relname from pg_class
        where relkind = 'r' and relname like 'features\_activity\_of\_run\_%' and pg_table_is_visible(oid)
            and not exists (
                select from features_run where state = 'running' and relname = 'features_activity_of_run_' || id
            )
    loop
        execute format('drop table %I', name);
    end loop;
end $$;
update features_featureversion version set is_taken_up = false
where is_taken_up and not exists (
    select from features_run where version_id = version.id and kind = 'recompute' and state = 'running'
);
"""


class Migration(migrations.Migration):
    dependencies = [("features", "0030_applied_files")]

    operations = [migrations.RunSQL(CLEAR, migrations.RunSQL.noop)]
