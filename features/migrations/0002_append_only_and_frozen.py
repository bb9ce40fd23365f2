"""The rules that a constraint can't state: history is only appended to, and an activated weight set never changes."""

from django.db import migrations

APPEND_ONLY = """
create function features_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the rows of % are only ever appended', tg_table_name using errcode = 'check_violation';
end $$;
create trigger customer_feature_is_append_only before update on features_customerfeature
    for each row execute function features_refuse_change();
"""
DROP_APPEND_ONLY = """
drop trigger customer_feature_is_append_only on features_customerfeature;
drop function features_refuse_change();
"""

FROZEN = """
create function features_refuse_change_of_activated_weights() returns trigger language plpgsql as $$
declare
    id_of_set bigint := case when tg_op = 'DELETE' then old.weight_set_id else new.weight_set_id end;
begin
    if exists (select from features_weightset where id = id_of_set and activated_at is not null) then
        raise exception 'weight set % was activated: its weights do not change', id_of_set
            using errcode = 'check_violation';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end $$;
create trigger weight_is_frozen before insert or update or delete on features_weight
    for each row execute function features_refuse_change_of_activated_weights();

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
THAW = """
drop trigger weight_set_is_frozen on features_weightset;
drop function features_refuse_change_of_activated_set();
drop trigger weight_is_frozen on features_weight;
drop function features_refuse_change_of_activated_weights();
"""


class Migration(migrations.Migration):
    dependencies = [("features", "0001_initial")]

    operations = [
        migrations.RunSQL(APPEND_ONLY, DROP_APPEND_ONLY),
        migrations.RunSQL(FROZEN, THAW),
    ]
