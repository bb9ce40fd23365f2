from django.db import migrations, models
from django.db.models import Q

MEANING = """
create or replace function features_definitions_keep_their_meaning() returns trigger language plpgsql as $$
begin
    if (new.name, new.feature_type, new.kind, new.event_type, new.category, new.metadata_key, new.{window},
            new.half_life_days, new.expression)
        is distinct from (old.name, old.feature_type, old.kind, old.event_type, old.category, old.metadata_key,
            old.{window}, old.half_life_days, old.expression)
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
"""


class Migration(migrations.Migration):
    """Hold the windows in hours to what held those in days. The column `window_days` stays for earlier programs."""

    dependencies = [("features", "0026_windows_in_hours")]

    operations = [
        migrations.RunSQL(MEANING.format(window="window_hours"), MEANING.format(window="window_days")),
        migrations.RemoveConstraint("featuredefinition", "definition_window_is_behavioral"),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField("featuredefinition", "window_days")]
        ),
        migrations.AddConstraint(
            "featuredefinition",
            models.CheckConstraint(
                condition=Q(kind="", window_hours__isnull=True)
                | Q(feature_type="behavioral", window_hours__gte=1, window_hours__lte=2160),
                name="definition_window_is_behavioral",
            ),
        ),
    ]
