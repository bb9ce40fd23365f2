"""Create the view that shows what is recorded in several places as one activity log."""

from django.conf import settings
from django.db import migrations, models

KINDS = [
    ("weights", "Weights"), ("versions", "Versions"), ("definitions", "Feature definitions"), ("api_keys", "API keys"),
    ("tasks", "Periodic tasks"), ("erasures", "Erasures"), ("repairs", "Checks and repairs"),
    ("people", "Users and roles"), ("logins", "Failed logins"), ("other", "Other"),
]  # fmt: skip

# 1. The steps of weight sets and versions.
# 2. The admin's log, without what is a step of a weight set, too. The reason for which an id is allowed again is its
#    whole message.
# 3. What no person did in the admin: erasures, keys made by commands, repairs that began by themselves.
CREATE_VIEW = """
create view features_activitylogentry as
select 'weights-' || step.id as id, step.at, step.by_id::bigint as person_id, 'weights' as kind, 'weights' as source,
    step.action::text as action, '' as message, weight_set.name || ' (#' || weight_set.id || ')' as subject,
    step.reason as why, 'features' as app_label, 'weightset' as model_name, weight_set.id::text as object_id
from features_weightsetstep step join features_weightset weight_set on weight_set.id = step.weight_set_id
union all
select 'versions-' || step.id, step.at, step.by_id, 'versions', 'versions',
    step.state, '', version.feature_type || ':' || version.number,
    step.reason, 'features', 'featureversion', version.id::text
from features_featureversionstep step join features_featureversion version on version.id = step.version_id
union all
select 'log-' || entry.id, entry.action_time, entry.user_id,
    case
        when type.app_label = 'django_celery_beat' then 'tasks'
        when type.app_label = 'auth' then 'people'
        when type.app_label = 'axes' then 'logins'
        else coalesce(kind.name, 'other')
    end,
    'log', entry.action_flag::text,
    case when is_allowed_again then 'Allowed the customer id again.' else entry.change_message end,
    entry.object_repr,
    case when is_allowed_again then entry.change_message else '' end,
    coalesce(type.app_label, ''), coalesce(type.model, ''),
    case when entry.action_flag = 3 then '' else coalesce(entry.object_id, '') end
from django_admin_log entry
left join django_content_type type on type.id = entry.content_type_id
left join (values
    ('features', 'weightset', 'weights'), ('features', 'featureversion', 'versions'),
    ('features', 'featuredefinition', 'definitions'), ('access', 'apikey', 'api_keys'),
    ('events', 'erasedcustomer', 'erasures'), ('features', 'consistencycheck', 'repairs')
) as kind (app_label, model, name) on (kind.app_label, kind.model) = (type.app_label, type.model)
cross join lateral (
    select coalesce(type.model = 'erasedcustomer' and entry.action_flag = 3, false) as is_allowed_again
) which
where type.model is distinct from 'weightset' or entry.action_flag = 3
union all
select 'erasure-' || id, erased_at, null, 'erasures', 'erasure',
    'erased', 'Erased a customer.', left(encode(customer_hash, 'hex'), 12) || '…', '',
    'events', 'erasedcustomer', id::text
from events_erasedcustomer
union all
select 'key-' || key.id, key.created_at, null, 'api_keys', 'key',
    'created', case when key.replaces_id is null then 'Made by a command.' else 'Made by a command as a successor.' end,
    key.name || ' (' || key.prefix || '…)', '', 'access', 'apikey', key.id::text
from access_apikey key
where not exists (
    select from django_admin_log entry join django_content_type type on type.id = entry.content_type_id
    where type.app_label = 'access' and type.model = 'apikey' and entry.action_flag = 1
        and entry.object_id = key.id::text
)
union all
select 'repair-' || run.id, run.started_at, null, 'repairs', 'repair',
    'repaired', 'Began by itself to repair ' || run.total || ' customers.', 'Check #' || made.id, '',
    'features', 'consistencycheck', made.id::text
from features_run run join features_consistencycheck made on made.repair_run_id = run.id
where not exists (
    select from django_admin_log entry join django_content_type type on type.id = entry.content_type_id
    where type.app_label = 'features' and type.model = 'consistencycheck' and entry.object_id = made.id::text
        and entry.change_message like '%Repair of %'
)
"""
DROP_VIEW = "drop view features_activitylogentry"


class Migration(migrations.Migration):
    dependencies = [
        ("features", "0017_series_schedule"),
        ("access", "0002_lifetimes"),
        ("events", "0001_initial"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(CREATE_VIEW, DROP_VIEW),
        migrations.CreateModel(
            name="ActivityLogEntry",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                (
                    "person",
                    models.ForeignKey(
                        db_constraint=False, null=True, on_delete=models.deletion.DO_NOTHING, related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("kind", models.CharField(choices=KINDS, max_length=16)),
                ("source", models.CharField(max_length=16)),
                ("action", models.CharField(max_length=32)),
                ("message", models.TextField()),
                ("subject", models.TextField()),
                ("why", models.TextField()),
                ("app_label", models.CharField(max_length=100)),
                ("model_name", models.CharField(max_length=100)),
                ("object_id", models.TextField()),
            ],
            options={
                "db_table": "features_activitylogentry", "managed": False, "verbose_name": "activity",
                "verbose_name_plural": "activity log", "ordering": ["-at", "-id"],
            },
        ),
    ]  # fmt: skip
