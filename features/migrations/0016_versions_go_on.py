"""The rules of a version's life that a constraint can't state."""

from django.db import migrations, models

# The version's row is locked before its state is read: a step and a change at the same time wait for each other.
RULES = """
create function features_versions_go_on() returns trigger language plpgsql as $$
begin
    if (old.state, new.state) not in (
        ('draft', 'shadow'), ('shadow', 'live'), ('shadow', 'retired'), ('live', 'deprecated'),
        ('deprecated', 'live'), ('deprecated', 'retired')
    ) then
        raise exception 'version %:% does not go from % to %', old.feature_type, old.number, old.state, new.state
            using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger version_goes_on before update of state on features_featureversion
    for each row when (old.state <> new.state) execute function features_versions_go_on();

create function features_versions_change_in_drafts_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or (new.feature_type, new.number, new.inputs) <> (old.feature_type, old.number, old.inputs) then
        raise exception 'version %:% is %: it changes as a draft only', old.feature_type, old.number, old.state
            using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger version_changes_in_drafts_only before update or delete on features_featureversion
    for each row when (old.state <> 'draft') execute function features_versions_change_in_drafts_only();

create function features_definitions_change_in_drafts_only() returns trigger language plpgsql as $$
declare
    id_of_version bigint := case when tg_op = 'DELETE' then old.featureversion_id else new.featureversion_id end;
    version record;
begin
    select * into version from features_featureversion where id = id_of_version for share;
    -- What clients write may be added to: nobody is given less by it.
    if version.state <> 'draft' and (tg_op <> 'INSERT' or version.feature_type not in ('customer', 'contextual')) then
        raise exception 'version %:% is %: its definitions change in a draft only',
            version.feature_type, version.number, version.state using errcode = 'check_violation';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end $$;
create trigger version_definitions_change_in_drafts_only
    before insert or update or delete on features_featureversion_definitions
    for each row execute function features_definitions_change_in_drafts_only();

create function features_definitions_keep_their_meaning() returns trigger language plpgsql as $$
begin
    if (new.name, new.feature_type, new.kind, new.event_type, new.category, new.metadata_key, new.window_days,
            new.half_life_days, new.expression)
        is distinct from (old.name, old.feature_type, old.kind, old.event_type, old.category, old.metadata_key,
            old.window_days, old.half_life_days, old.expression)
        and exists (
            select from features_featureversion_definitions
            join features_featureversion version on version.id = featureversion_id
            where featuredefinition_id = old.id and version.state <> 'draft'
        )
    then
        raise exception '% is in a version past draft: what it means does not change', old.name
            using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger definition_keeps_its_meaning before update on features_featuredefinition
    for each row execute function features_definitions_keep_their_meaning();

create trigger version_step_is_append_only before update of version_id, state, at, reason
    on features_featureversionstep for each row execute function features_refuse_change();
"""
NO_RULES = """
drop trigger version_step_is_append_only on features_featureversionstep;
drop trigger definition_keeps_its_meaning on features_featuredefinition;
drop function features_definitions_keep_their_meaning();
drop trigger version_definitions_change_in_drafts_only on features_featureversion_definitions;
drop function features_definitions_change_in_drafts_only();
drop trigger version_changes_in_drafts_only on features_featureversion;
drop function features_versions_change_in_drafts_only();
drop trigger version_goes_on on features_featureversion;
drop function features_versions_go_on();
"""


class Migration(migrations.Migration):
    dependencies = [("features", "0015_first_live_moments")]

    operations = [
        migrations.AddConstraint(
            model_name="featureversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["live", "deprecated"]), _negated=True),
                    ("live_from__isnull", False),
                    _connector="OR",
                ),
                name="version_that_went_live_is_dated",
            ),
        ),
        migrations.RunSQL(RULES, NO_RULES),
    ]
