import django.contrib.postgres.fields
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Customers hold what lists are sorted and filtered by.

    The columns are empty at first, which rewrites no row; a run that the workers begin fills them in, in parts.
    """

    dependencies = [("features", "0011_first_computed_ranges")]
    operations = [
        migrations.RunSQL(
            "lock table features_customer, features_run, features_featuredefinition", migrations.RunSQL.noop
        ),
        migrations.AddField("customer", "last_seen_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "customer",
            "listed",
            django.contrib.postgres.fields.ArrayField(models.FloatField(null=True), null=True, size=None),
        ),
        migrations.AddField("customer", "listed_of", models.BigIntegerField(null=True)),
        migrations.AddField(
            "featuredefinition",
            "list_place",
            models.PositiveSmallIntegerField(
                null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(8)]
            ),
        ),
        migrations.AddConstraint(
            "featuredefinition",
            models.CheckConstraint(
                condition=Q(list_place__isnull=True) | Q(list_place__gte=1, list_place__lte=8),
                name="definition_list_place_exists",
            ),
        ),
        migrations.AddConstraint(
            "featuredefinition",
            models.UniqueConstraint(fields=["list_place"], name="definition_list_place_is_taken_once"),
        ),
        migrations.AddField("run", "listed_of", models.BigIntegerField(null=True, blank=True)),
        migrations.AlterField(
            "run",
            "kind",
            models.CharField(
                max_length=16,
                choices=[
                    ("rescore", "Re-score under new weights"),
                    ("recompute", "Recompute from events"),
                    ("refresh", "Refresh before expiry"),
                    ("retention", "Drop months of events past their retention"),
                    ("thinning", "Thin out the history past its retention"),
                    ("check", "Compare what is served with the events"),
                    ("repair", "Repair customers that were found wrong"),
                    ("backfill", "Backfill a version's history"),
                    ("lists", "Fill in the customer lists"),
                ],
            ),
        ),
        migrations.AddConstraint(
            "run",
            models.UniqueConstraint(
                fields=["kind"], condition=Q(state="running", kind="lists"), name="run_one_of_lists_at_a_time"
            ),
        ),
    ]
