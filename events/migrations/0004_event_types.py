from django.core.validators import RegexValidator
from django.db import migrations, models
from django.db.models.functions import Now

PATTERN = "^[a-z][a-z0-9_]{0,63}$"

# A longer varchar rewrites neither the partitions nor their indexes.
WIDEN = """
alter table events_event drop constraint event_type_is_known;
alter table events_event alter column event_type type varchar(64);
"""
# Events of further types keep it from being undone.
NARROW = """
alter table events_event alter column event_type type varchar(16);
alter table events_event add constraint event_type_is_known
    check (event_type in ('page_view', 'email_open', 'email_click', 'form_submit', 'purchase', 'login'));
"""


class Migration(migrations.Migration):
    """Create the table of event types, and let events be of any of them."""

    dependencies = [("events", "0003_key_checks")]

    operations = [
        migrations.CreateModel(
            name="EventType",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        help_text="The event_type of its events, such as trial_started. It can't be changed later.",
                        max_length=64,
                        unique=True,
                        validators=[
                            RegexValidator(
                                PATTERN,
                                "Use lower-case letters, digits and underscores, up to 64, a letter first.",
                            )
                        ],
                    ),
                ),
                ("label", models.CharField(help_text="Its name for people, such as Trial started.", max_length=64)),
                (
                    "description",
                    models.TextField(blank=True, help_text="When an event of this type is sent, and by what."),
                ),
                ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                ("archived_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("used_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(name__regex=PATTERN), name="event_type_name_is_a_word")
                ],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(WIDEN, NARROW)],
            state_operations=[
                migrations.RemoveConstraint(model_name="event", name="event_type_is_known"),
                migrations.AlterField(model_name="event", name="event_type", field=models.CharField(max_length=64)),
            ],
        ),
    ]
