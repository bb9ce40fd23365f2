"""What is live already is dated, and the derived feature gets its expression and what it is computed from."""

from datetime import timedelta

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Now

RFM_SCORE = "(recency_score + frequency_score + monetary_score) / 3"


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    versions = apps.get_model("features", "FeatureVersion").objects
    # Long enough ago that nobody takes it for a switch that is under way.
    versions.filter(state__in=["live", "deprecated"]).update(live_from=Now() - timedelta(days=1))
    live = {version.feature_type: version.number for version in versions.filter(state="live")}
    inputs = {feature_type: number for feature_type, number in live.items() if feature_type != "derived"}
    versions.filter(feature_type="derived", number="1.0").update(inputs=inputs)
    apps.get_model("features", "FeatureDefinition").objects.filter(name="rfm_score").update(expression=RFM_SCORE)


class Migration(migrations.Migration):
    dependencies = [("features", "0014_versions_and_windows")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
