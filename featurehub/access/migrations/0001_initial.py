"""Create the table of API keys."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("prefix", models.CharField(editable=False, max_length=12)),
                ("hashed_key", models.BinaryField(max_length=32, unique=True)),
                (
                    "scopes",
                    ArrayField(
                        base_field=models.CharField(
                            choices=[("read", "Read"), ("write", "Write"), ("ingest", "Ingest")], max_length=16
                        ),
                        size=None,
                    ),
                ),
                (
                    "requests_per_minute",
                    models.PositiveIntegerField(blank=True, null=True, validators=[MinValueValidator(1)]),
                ),
                ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name": "API key",
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(scopes__contained_by=["read", "write", "ingest"])
                        & models.Q(scopes__len__gt=0),
                        name="api_key_scopes_are_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(requests_per_minute__isnull=True) | models.Q(requests_per_minute__gt=0),
                        name="api_key_limit_is_positive",
                    ),
                ],
            },
        ),
    ]
