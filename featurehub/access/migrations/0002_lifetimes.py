"""Give API keys an end, a last use and a successor, and add the scope `metrics`."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models import deletion

SCOPES = ["read", "write", "ingest", "metrics"]


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]

    operations = [
        migrations.AddField("apikey", "expires_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("apikey", "last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
        migrations.AddField(
            "apikey",
            "replaces",
            models.OneToOneField(
                blank=True,
                editable=False,
                null=True,
                on_delete=deletion.PROTECT,
                related_name="successor",
                to="access.apikey",
            ),
        ),
        migrations.AlterField(
            "apikey",
            "scopes",
            ArrayField(
                base_field=models.CharField(choices=[(scope, scope.title()) for scope in SCOPES], max_length=16),
                size=None,
            ),
        ),
        migrations.RemoveConstraint("apikey", "api_key_scopes_are_known"),
        migrations.AddConstraint(
            "apikey",
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=SCOPES) & models.Q(scopes__len__gt=0),
                name="api_key_scopes_are_known",
            ),
        ),
    ]
