"""Create the triggers that hold what a constraint cannot state: append-only rows and changes in drafts only."""

from django.db import migrations

APPEND_ONLY = """
create function features_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the rows of % are only ever appended', tg_table_name using errcode = 'check_violation';
end $$;
create trigger customer_feature_is_append_only before update on features_customerfeature
    for each row execute function features_refuse_change();
-- `by` is missing in both lists: it becomes null when the user is deleted.
create trigger weight_set_step_is_append_only before update of weight_set_id, action, at, reason
    on features_weightsetstep for each row execute function features_refuse_change();
create trigger version_step_is_append_only before update of version_id, state, at, reason
    on features_featureversionstep for each row execute function features_refuse_change();
"""
DROP_APPEND_ONLY = """
drop trigger version_step_is_append_only on features_featureversionstep;
drop trigger weight_set_step_is_append_only on features_weightsetstep;
drop trigger customer_feature_is_append_only on features_customerfeature;
drop function features_refuse_change();
"""

WEIGHTS_CHANGE_IN_DRAFTS_ONLY = """
create function features_weights_change_in_drafts_only() returns trigger language plpgsql as $$
declare
    id_of_set bigint := case when tg_op = 'DELETE' then old.weight_set_id else new.weight_set_id end;
    -- Locking the set's row before its state is read makes an activation and a concurrent edit wait for each other.
    state_of_set text := (select state from features_weightset where id = id_of_set for share);
begin
    if state_of_set <> 'draft' then
        raise exception 'weight set % is %: weights change in a draft only', id_of_set, state_of_set
            using errcode = 'check_violation';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end $$;
create trigger weight_changes_in_drafts_only before insert or update or delete on features_weight
    for each row execute function features_weights_change_in_drafts_only();

create function features_monetary_norm_changes_in_drafts_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or new.monetary_norm <> old.monetary_norm then
        raise exception 'weight set % is %: it changes as a draft only', old.id, old.state
            using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger weight_set_changes_in_drafts_only before update or delete on features_weightset
    for each row when (old.state <> 'draft') execute function features_monetary_norm_changes_in_drafts_only();

create function features_refuse_change_of_activated_set() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or new.monetary_norm <> old.monetary_norm or new.version_id <> old.version_id
        or new.activated_at is distinct from old.activated_at or new.state = 'draft' then
        raise exception 'weight set % was activated: it does not change', old.id using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger weight_set_is_frozen before update or delete on features_weightset
    for each row when (old.activated_at is not null) execute function features_refuse_change_of_activated_set();
"""
DROP_WEIGHTS_CHANGE_IN_DRAFTS_ONLY = """
drop trigger weight_set_is_frozen on features_weightset;
drop function features_refuse_change_of_activated_set();
drop trigger weight_set_changes_in_drafts_only on features_weightset;
drop function features_monetary_norm_changes_in_drafts_only();
drop trigger weight_changes_in_drafts_only on features_weight;
drop function features_weights_change_in_drafts_only();
"""

VERSIONS_CHANGE_IN_DRAFTS_ONLY = """
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
    -- Locking the version's row before its state is read makes a step and a concurrent change wait for each other.
    select * into version from features_featureversion where id = id_of_version for share;
    -- Versions whose values clients write may gain definitions in any state: no reader loses a value by it.
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
"""
DROP_VERSIONS_CHANGE_IN_DRAFTS_ONLY = """
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
    dependencies = [("features", "0001_initial")]

    operations = [
        migrations.RunSQL(APPEND_ONLY, DROP_APPEND_ONLY),
        migrations.RunSQL(WEIGHTS_CHANGE_IN_DRAFTS_ONLY, DROP_WEIGHTS_CHANGE_IN_DRAFTS_ONLY),
        migrations.RunSQL(VERSIONS_CHANGE_IN_DRAFTS_ONLY, DROP_VERSIONS_CHANGE_IN_DRAFTS_ONLY),
    ]
