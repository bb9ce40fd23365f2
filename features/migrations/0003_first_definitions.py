"""Insert the first definitions, the live versions 1.0, the first weight set, and the renewal buckets."""

from datetime import timedelta

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Now

# feature type → name → (description, unit, minimum, maximum)
FIRST_DEFINITIONS: dict[str, dict[str, tuple[str, str, float | None, float | None]]] = {
    "behavioral": {
        "engagement_score": ("Weighted activity of 30 days, clamped at 1", "share", 0, 1),
        "page_views_30d": ("Page views in 30 days", "events", 0, None),
        "email_opens_30d": ("E-mails opened in 30 days", "events", 0, None),
        "email_clicks_30d": ("Links clicked in e-mails in 30 days", "events", 0, None),
        "form_submits_30d": ("Forms submitted in 30 days", "events", 0, None),
        "purchases_30d": ("Purchases in 30 days", "events", 0, None),
        "conversion_rate": ("Forms submitted per page view", "ratio", 0, None),
        "login_frequency": ("Logins in 30 days", "events", 0, None),
        "session_duration": ("Mean time between the first and last event of a session", "seconds", 0, None),
        "recency_score": ("1 at a purchase, falling to 0 within 30 days", "share", 0, 1),
        "frequency_score": ("Purchases in 30 days relative to their norm, at most 1", "share", 0, 1),
        "purchase_amount_30d": ("Amount of the purchases of 30 days", "currency", 0, None),
        "monetary_score": ("Purchase amount relative to its norm, at most 1", "share", 0, 1),
        "category_preferences": ("The largest category's share of the events that have one", "share", 0, 1),
    },
    "customer": {
        "tenure_days": ("Days since the customer joined", "days", 0, None),
        "loyalty_tier": ("Tier in the loyalty programme, as a number", "tier", 0, None),
    },
    "contextual": {
        "cart_value": ("Value of what is in the cart now", "currency", 0, None),
        "items_in_cart": ("Number of items in the cart now", "items", 0, None),
    },
    "derived": {"rfm_score": ("Mean of the recency, frequency and monetary scores", "share", 0, 1)},
}
FIRST_EXPRESSIONS = {"rfm_score": "(recency_score + frequency_score + monetary_score) / 3"}
# feature type → the versions whose values it is computed from
FIRST_INPUTS = {"derived": {"behavioral": "1.0", "customer": "1.0", "contextual": "1.0"}}
# event type → (weight, norm), in the order of events.event_types
FIRST_WEIGHTS = {
    "page_view": (0.3, 100),
    "email_open": (0.2, 50),
    "email_click": (0.0, 20),
    "form_submit": (0.2, 20),
    "purchase": (0.3, 10),
    "login": (0.1, 30),
}
# As in features.models at the time of this migration.
RENEWAL_BUCKETS = 256


def insert_definitions_and_versions(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    version_model = apps.get_model("features", "FeatureVersion")
    for feature_type, definitions in FIRST_DEFINITIONS.items():
        version = version_model.objects.create(
            feature_type=feature_type, number="1.0", inputs=FIRST_INPUTS.get(feature_type, {})
        )
        for name, (description, unit, minimum, maximum) in definitions.items():
            version.definitions.create(
                name=name,
                feature_type=feature_type,
                description=description,
                owner="FeatureHub",
                unit=unit,
                minimum=minimum,
                maximum=maximum,
                expression=FIRST_EXPRESSIONS.get(name, ""),
            )
    # The triggers let versions take definitions as drafts only, and go live only through shadow.
    version_model.objects.update(state="shadow")
    # A live_from in the last seconds would be taken for a switch that is not complete yet.
    version_model.objects.update(state="live", live_from=Now() - timedelta(days=1))


def insert_weight_set(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    weight_sets = apps.get_model("features", "WeightSet").objects
    version = apps.get_model("features", "FeatureVersion").objects.get(feature_type="behavioral")
    weight_set = weight_sets.create(
        version=version, name="First weights", reason="What FeatureHub starts with", monetary_norm=1000
    )
    for event_type, (weight, norm) in FIRST_WEIGHTS.items():
        weight_set.weights.create(event_type=event_type, weight=weight, norm=norm)
    # Activated last: a trigger refuses weights of an active set.
    weight_sets.filter(pk=weight_set.pk).update(state="active", activated_at=Now())
    weight_set.refresh_from_db()
    assert weight_set.activated_at is not None
    weight_set.steps.create(action="created", at=weight_set.created_at, reason=weight_set.reason)
    weight_set.steps.create(action="activated", at=weight_set.activated_at, reason=weight_set.reason)


def insert_renewal_buckets(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    renewal_model = apps.get_model("features", "Renewal")
    renewal_model.objects.bulk_create(renewal_model(bucket=bucket) for bucket in range(RENEWAL_BUCKETS))


class Migration(migrations.Migration):
    dependencies = [("features", "0002_triggers")]

    # Reversing keeps the rows: the triggers refuse to delete them, and reversing 0001_initial drops their tables.
    operations = [
        migrations.RunPython(insert_definitions_and_versions, migrations.RunPython.noop),
        migrations.RunPython(insert_weight_set, migrations.RunPython.noop),
        migrations.RunPython(insert_renewal_buckets, migrations.RunPython.noop),
    ]
