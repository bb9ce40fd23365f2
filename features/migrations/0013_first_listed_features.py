from typing import Any

from django.db import migrations

# The engagement score and the four of recency, frequency and monetary value.
FIRST_LISTED = ("engagement_score", "rfm_score", "recency_score", "frequency_score", "monetary_score")


def list_first_features(apps: Any, schema_editor: Any) -> None:
    """Give the first listed features their places, where they exist."""
    definitions = apps.get_model("features", "FeatureDefinition").objects
    for place, name in enumerate(FIRST_LISTED, start=1):
        definitions.filter(name=name).update(list_place=place)


class Migration(migrations.Migration):
    dependencies = [("features", "0012_customer_lists")]
    operations = [migrations.RunPython(list_first_features, migrations.RunPython.noop)]
