"""Beside who reads a version it is kept who writes it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("features", "0018_weights_end_with_their_version")]

    operations = [
        migrations.RemoveConstraint(model_name="versionread", name="version_read_is_unique"),
        migrations.RenameModel(old_name="VersionRead", new_name="VersionUse"),
        migrations.RenameField(model_name="versionuse", old_name="read_at", new_name="used_at"),
        migrations.AddField(
            model_name="versionuse",
            name="kind",
            field=models.CharField(choices=[("read", "Read"), ("write", "Write")], default="read", max_length=8),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="versionuse",
            name="api_key",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="version_uses", to="access.apikey"
            ),
        ),
        migrations.AlterField(
            model_name="versionuse",
            name="version",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="uses",
                to="features.featureversion",
            ),
        ),
        migrations.AddConstraint(
            model_name="versionuse",
            constraint=models.UniqueConstraint(fields=("version", "api_key", "kind"), name="version_use_is_unique"),
        ),
        migrations.AddConstraint(
            model_name="versionuse",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["read", "write"])), name="version_use_kind_is_known"
            ),
        ),
    ]
