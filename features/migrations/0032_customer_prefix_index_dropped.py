"""Drop the index of prefixes of customer ids: nothing searches by one, and each computation of a customer wrote it."""

from django.db import migrations

# Django has made it with the primary key, and named it by a hash.
DROP = r"""
do $$ declare
    name text;
begin
    for name in
        select indexrelid::regclass from pg_index
        where indrelid = 'features_customer'::regclass and indexrelid::regclass::text like '%\_like'
    loop
        execute format('drop index %s', name);
    end loop;
end $$;
"""
MAKE = "create index features_customer_customer_id_like on features_customer (customer_id varchar_pattern_ops)"


class Migration(migrations.Migration):
    dependencies = [("features", "0031_ended_runs_cleared")]

    operations = [migrations.RunSQL(DROP, MAKE)]
