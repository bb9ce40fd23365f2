"""Create feature sets, which a trigger keeps as they are, and show them in the activity log."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

NAME = r"^[a-z][a-z0-9_]{0,63}$"
NAME_RULE = "A set's name begins with a letter and has lower-case letters, digits and underscores, at most 64."
KINDS = [
    ("weights", "Weights"), ("versions", "Versions"), ("definitions", "Feature definitions"),
    ("feature_sets", "Feature sets"), ("api_keys", "API keys"), ("tasks", "Periodic tasks"), ("erasures", "Erasures"),
    ("repairs", "Checks and repairs"), ("people", "Users and roles"), ("downloads", "Downloads"),
    ("logins", "Failed logins"), ("other", "Other"),
]  # fmt: skip

# `made_by_id` and `made_with_id` are missing in the list: they become null when the user or the key is deleted.
SETS_STAY = """
create function features_sets_stay() returns trigger language plpgsql as $$
begin
    raise exception 'feature set %:% was made: it does not change, and is not deleted', old.name, old.number
        using errcode = 'check_violation';
end $$;
create trigger feature_set_is_frozen before update of name, number, names, versions, made_at, reason
    on features_featureset for each row execute function features_sets_stay();
create trigger feature_set_is_kept before delete on features_featureset
    for each row execute function features_sets_stay();
"""
DROP_SETS_STAY = """
drop trigger feature_set_is_kept on features_featureset;
drop trigger feature_set_is_frozen on features_featureset;
drop function features_sets_stay();
"""
# The view gets another part, whatever parts it has by then: its definition is taken as it is.
SHOW_IN_ACTIVITY_LOG = """
do $$ begin
    execute 'create or replace view features_activitylogentry as '
        || rtrim(pg_get_viewdef('features_activitylogentry'::regclass), '; ')
        || $part$
union all
select 'set-' || made.id, made.made_at, made.made_by_id::bigint, 'feature_sets', 'set',
    'made', case when made.made_with_id is null then 'Made.' else 'Made with the API key ' || key.name || '.' end,
    made.name || ':' || made.number, made.reason, 'features', 'featureset', made.id::text
from features_featureset made left join access_apikey key on key.id = made.made_with_id
$part$;
end $$;
"""
# As PostgreSQL writes the part. A part that came later goes with it, and its own migration is undone before.
HIDE_FROM_ACTIVITY_LOG = """
do $$ begin
    execute 'create or replace view features_activitylogentry as '
        || split_part(pg_get_viewdef('features_activitylogentry'::regclass), 'UNION ALL
 SELECT (''set-''', 1);
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("features", "0022_logged_downloads"),
        ("access", "0002_lifetimes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="FeatureSet",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        max_length=64, validators=[django.core.validators.RegexValidator(NAME, NAME_RULE)]
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "names",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), size=None
                    ),
                ),
                ("versions", models.JSONField()),
                ("made_at", models.DateTimeField(db_default=django.db.models.functions.Now())),
                ("reason", models.TextField(blank=True)),
                (
                    "made_by",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "made_with",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="access.apikey"
                    ),
                ),
            ],
            options={
                "ordering": ["name", "-number"],
                "constraints": [
                    models.UniqueConstraint(fields=("name", "number"), name="feature_set_is_unique"),
                    models.CheckConstraint(condition=Q(name__regex=NAME), name="feature_set_name_is_well_formed"),
                    models.CheckConstraint(condition=Q(number__gte=1), name="feature_set_number_is_positive"),
                    models.CheckConstraint(
                        condition=Q(names__len__gte=1, names__len__lte=500), name="feature_set_has_features"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FeatureSetUse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("used_at", models.DateTimeField()),
                (
                    "api_key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="access.apikey"
                    ),
                ),
                (
                    "feature_set",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="uses",
                        to="features.featureset",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("feature_set", "api_key"), name="feature_set_use_is_unique")
                ],
            },
        ),
        migrations.RunSQL(SETS_STAY, DROP_SETS_STAY),
        migrations.RunSQL(SHOW_IN_ACTIVITY_LOG, HIDE_FROM_ACTIVITY_LOG),
        migrations.AlterField(
            model_name="activitylogentry", name="kind", field=models.CharField(choices=KINDS, max_length=16)
        ),
    ]  # fmt: skip
