import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

RUN_KINDS = [
    ("rescore", "Re-score under new weights"),
    ("recompute", "Recompute from events"),
    ("refresh", "Refresh before expiry"),
    ("retention", "Drop months of events past their retention"),
    ("thinning", "Thin out the history past its retention"),
    ("check", "Compare what is served with the events"),
    ("repair", "Repair customers that were found wrong"),
]


class Migration(migrations.Migration):
    """Checks of consistency and what they found."""

    dependencies = [("features", "0006_publications_kept")]

    operations = [
        migrations.AlterField("run", "kind", models.CharField(choices=RUN_KINDS, max_length=16)),
        migrations.RemoveConstraint("run", "run_one_at_a_time"),
        migrations.AddConstraint(
            "run",
            models.UniqueConstraint(
                condition=Q(kind__in=["refresh", "retention", "thinning", "check"], state="running"),
                fields=("kind",),
                name="run_one_at_a_time",
            ),
        ),
        migrations.CreateModel(
            name="ConsistencyCheck",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rate", models.FloatField()),
                ("confidence", models.FloatField()),
                ("is_everybody", models.BooleanField()),
                (
                    "waiting",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                (
                    "postponed",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                ("rounds", models.PositiveSmallIntegerField(default=0)),
                ("compared", models.PositiveIntegerField(default=0)),
                ("wrong", models.PositiveIntegerField(default=0)),
                ("not_cached", models.PositiveIntegerField(default=0)),
                ("unsettled", models.PositiveIntegerField(default=0)),
                ("features", models.JSONField(default=list)),
                (
                    "repair_run",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="repaired_check",
                        to="features.run",
                    ),
                ),
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="consistency_check",
                        to="features.run",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(confidence__gt=0, confidence__lt=1, rate__gt=0, rate__lt=1),
                        name="consistency_check_shares_are_between_0_and_1",
                    ),
                    models.CheckConstraint(
                        condition=Q(wrong__lte=F("compared")), name="consistency_check_wrong_are_compared"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="InconsistentCustomer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("customer_id", models.CharField(max_length=128)),
                ("findings", models.JSONField()),
                ("repaired_at", models.DateTimeField(null=True)),
                (
                    "check_made",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="inconsistent",
                        to="features.consistencycheck",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["customer_id"], name="inconsistent_customer")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("check_made", "customer_id"), name="inconsistent_customer_is_kept_once"
                    )
                ],
            },
        ),
    ]
