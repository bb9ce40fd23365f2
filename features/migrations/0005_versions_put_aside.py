from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Versions whose computation failed are put aside."""

    dependencies = [("features", "0004_schedule")]
    operations = [
        migrations.AddField("featureversion", "put_aside_at", models.DateTimeField(editable=False, null=True)),
        migrations.AddField(
            "featureversion", "put_aside_because", models.TextField(blank=True, db_default="", editable=False)
        ),
        migrations.AddConstraint(
            "featureversion",
            models.CheckConstraint(
                condition=Q(put_aside_at__isnull=True) | ~Q(put_aside_because=""), name="version_put_aside_has_a_reason"
            ),
        ),
    ]
