from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

# Programs of an earlier version read and write `window_days` until they are replaced. To them a window that is not of
# whole days is one of the next whole day. `old` is null where a row is inserted.
KEEP_BOTH = """
create function features_definitions_keep_both_windows() returns trigger language plpgsql as $$
begin
    if new.window_hours is distinct from old.window_hours then
        new.window_days := ceil(new.window_hours / 24.0);
    elsif new.window_days is distinct from old.window_days then
        new.window_hours := new.window_days * 24;
    end if;
    return new;
end $$;
-- Triggers fire in the order of their names: this one before `definition_keeps_its_meaning`.
create trigger definition_has_both_windows before insert or update on features_featuredefinition
    for each row execute function features_definitions_keep_both_windows();
"""
DROP_KEEP_BOTH = """
drop trigger definition_has_both_windows on features_featuredefinition;
drop function features_definitions_keep_both_windows();
"""


class Migration(migrations.Migration):
    """Windows are in hours, from 1 to 90 days of 24. A later version drops `window_days` and what keeps it right."""

    dependencies = [("features", "0024_event_types")]

    operations = [
        migrations.AddField(
            "featuredefinition",
            "window_hours",
            models.PositiveSmallIntegerField(
                blank=True, null=True, validators=[MinValueValidator(1), MaxValueValidator(2160)]
            ),
        ),
        migrations.RunSQL(KEEP_BOTH, DROP_KEEP_BOTH),
    ]
