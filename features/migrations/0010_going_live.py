import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

ACTIONS = [
    ("created", "Drafted"),
    ("edited", "Changed"),
    ("proposed", "Proposed"),
    ("sent_back", "Sent back to draft"),
    ("approved", "Approved"),
    ("scheduled", "Scheduled"),
    ("unscheduled", "Schedule cancelled"),
    ("activated", "Activated"),
    ("superseded", "Superseded"),
    ("shadowed", "Put into shadow"),
    ("unshadowed", "Taken out of shadow"),
    ("carried", "Carried over"),
]
RUN_KINDS = [
    ("rescore", "Re-score under new weights"),
    ("recompute", "Recompute from events"),
    ("refresh", "Refresh before expiry"),
    ("retention", "Drop months of events past their retention"),
    ("thinning", "Thin out the history past its retention"),
    ("check", "Compare what is served with the events"),
    ("repair", "Repair customers that were found wrong"),
    ("backfill", "Backfill a version's history"),
]


class Migration(migrations.Migration):
    """Weights that a version takes over as it goes live, and the ranges of the past that it has values in."""

    dependencies = [("features", "0009_versions_taken_up")]

    operations = [
        migrations.RunSQL(
            "lock table features_run, features_featureversion, features_weightsetstep", migrations.RunSQL.noop
        ),
        migrations.AddField(
            "featureversion", "is_awaiting_scores", models.BooleanField(db_default=False, editable=False)
        ),
        migrations.RemoveConstraint("featureversion", "version_that_went_live_is_dated"),
        migrations.AddConstraint(
            "featureversion",
            models.CheckConstraint(
                condition=~Q(state="live") | Q(live_from__isnull=False) | Q(is_awaiting_scores=True),
                name="version_that_went_live_is_dated",
            ),
        ),
        migrations.AddConstraint(
            "featureversion",
            models.CheckConstraint(
                condition=Q(is_awaiting_scores=False) | Q(state="live"), name="version_awaiting_scores_goes_live"
            ),
        ),
        migrations.AlterField("weightsetstep", "action", models.CharField(choices=ACTIONS, max_length=16)),
        migrations.RemoveConstraint("weightsetstep", "weight_set_step_action_is_known"),
        migrations.AddConstraint(
            "weightsetstep",
            models.CheckConstraint(
                condition=Q(action__in=[name for name, _ in ACTIONS]), name="weight_set_step_action_is_known"
            ),
        ),
        migrations.AlterField("run", "kind", models.CharField(choices=RUN_KINDS, max_length=16)),
        migrations.RemoveConstraint("run", "run_one_of_a_version_at_a_time"),
        migrations.AddConstraint(
            "run",
            models.UniqueConstraint(
                condition=Q(state="running"), fields=("version", "kind"), name="run_one_of_a_version_at_a_time"
            ),
        ),
        migrations.CreateModel(
            name="ComputedRange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(blank=True, null=True)),
                ("recorded_at", models.DateTimeField(blank=True, null=True)),
                (
                    "run",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="computed_range",
                        to="features.run",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="computed_ranges",
                        to="features.featureversion",
                    ),
                ),
            ],
            options={
                "ordering": ["since"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=Q(until__isnull=True), fields=("version",), name="computed_range_one_that_goes_on"
                    ),
                    models.CheckConstraint(
                        condition=Q(until__isnull=True) | Q(until__gt=F("since")), name="computed_range_is_not_empty"
                    ),
                ],
            },
        ),
    ]
