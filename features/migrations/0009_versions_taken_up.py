from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Versions that were put aside are taken up when all their values are computed again."""

    dependencies = [("features", "0008_consistency_schedule")]
    operations = [
        migrations.AddField("featureversion", "is_taken_up", models.BooleanField(db_default=False, editable=False)),
        migrations.AddConstraint(
            "featureversion",
            models.CheckConstraint(
                condition=Q(is_taken_up=False) | Q(put_aside_at__isnull=False), name="version_taken_up_was_put_aside"
            ),
        ),
    ]
