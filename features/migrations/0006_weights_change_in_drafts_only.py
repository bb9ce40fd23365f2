"""The rules of a weight set's life that a constraint can't state, and the task that activates scheduled sets."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# The set's row is locked before its state is read: an activation and an edit at the same time wait for each other.
DRAFTS_ONLY = """
drop trigger weight_is_frozen on features_weight;
drop function features_refuse_change_of_activated_weights();
create function features_weights_change_in_drafts_only() returns trigger language plpgsql as $$
declare
    id_of_set bigint := case when tg_op = 'DELETE' then old.weight_set_id else new.weight_set_id end;
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

create trigger weight_set_step_is_append_only before update of weight_set_id, action, at, reason
    on features_weightsetstep for each row execute function features_refuse_change();
"""
ACTIVATED_ONLY = """
drop trigger weight_set_step_is_append_only on features_weightsetstep;
drop trigger weight_set_changes_in_drafts_only on features_weightset;
drop function features_monetary_norm_changes_in_drafts_only();
drop trigger weight_changes_in_drafts_only on features_weight;
drop function features_weights_change_in_drafts_only();
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
"""
TASK = "features.activate_due_weights"
NAME = "Activate scheduled weight sets"
SECONDS = 5


def first_steps(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The sets that are there already get the steps they must have gone through, dated as they were."""
    step_model = apps.get_model("features", "WeightSetStep")
    for weight_set in apps.get_model("features", "WeightSet").objects.all():
        created = {"action": "created", "by_id": weight_set.created_by_id, "at": weight_set.created_at}
        step_model.objects.create(weight_set=weight_set, reason=weight_set.reason, **created)
        if weight_set.activated_at is not None:
            activated = {"action": "activated", "by_id": weight_set.activated_by_id, "at": weight_set.activated_at}
            step_model.objects.create(weight_set=weight_set, reason=weight_set.reason, **activated)


def schedule(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=SECONDS, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.create(
        name=NAME, task=TASK, queue="batch", interval=interval, expire_seconds=SECONDS
    )


def unschedule(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [("features", "0005_life_of_a_weight_set")]

    operations = [
        migrations.RunSQL(DRAFTS_ONLY, ACTIVATED_ONLY),
        migrations.RunPython(first_steps, migrations.RunPython.noop),
        migrations.RunPython(schedule, unschedule),
    ]
