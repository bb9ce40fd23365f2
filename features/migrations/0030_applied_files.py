"""Create the record of definitions files that were applied, and show it in the activity log."""

import django.db.models.deletion
import django.db.models.functions
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

# The view gets another part, whatever parts it has by then: its definition is taken as it is.
SHOW_IN_ACTIVITY_LOG = """
do $$ begin
    execute 'create or replace view features_activitylogentry as '
        || rtrim(pg_get_viewdef('features_activitylogentry'::regclass), '; ')
        || $part$
union all
select 'applied-' || id, at, by_id::bigint, 'definitions', 'applied', 'applied',
    'Applied a file of definitions: ' || changes || '.', file, reason, '', '', ''
from features_appliedfile
$part$;
end $$;
"""
# As PostgreSQL writes the part. A part that came later goes with it, and its own migration is undone before.
HIDE_FROM_ACTIVITY_LOG = """
do $$ begin
    execute 'create or replace view features_activitylogentry as '
        || split_part(pg_get_viewdef('features_activitylogentry'::regclass), 'UNION ALL
 SELECT (''applied-''', 1);
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("features", "0029_merged_aggregate"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AppliedFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("file", models.CharField(max_length=255)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.Now())),
                ("reason", models.TextField()),
                ("changes", models.TextField()),
                (
                    "by",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(condition=~Q(changes=""), name="applied_file_changed_something")
                ],
            },
        ),
        migrations.RunSQL(SHOW_IN_ACTIVITY_LOG, HIDE_FROM_ACTIVITY_LOG),
    ]  # fmt: skip
