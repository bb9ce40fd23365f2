"""What is registered from the start, the first live versions, and the first weight set."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Now

# feature type → name → (description, unit, minimum, maximum)
DEFINITIONS: dict[str, dict[str, tuple[str, str, float | None, float | None]]] = {
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
# event type → (weight, norm), in the order of events.event_types
WEIGHTS = {
    "page_view": (0.3, 100),
    "email_open": (0.2, 50),
    "email_click": (0.0, 20),
    "form_submit": (0.2, 20),
    "purchase": (0.3, 10),
    "login": (0.1, 30),
}


def register(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    version_model = apps.get_model("features", "FeatureVersion")
    for feature_type, definitions in DEFINITIONS.items():
        version = version_model.objects.create(feature_type=feature_type, number="1.0", state="live")
        for name, (description, unit, minimum, maximum) in definitions.items():
            version.definitions.create(
                name=name,
                feature_type=feature_type,
                description=description,
                owner="FeatureHub",
                unit=unit,
                minimum=minimum,
                maximum=maximum,
            )
    version = version_model.objects.get(feature_type="behavioral")
    weight_set = apps.get_model("features", "WeightSet").objects.create(
        version=version, name="First weights", reason="What FeatureHub starts with", monetary_norm=1000
    )
    for event_type, (weight, norm) in WEIGHTS.items():
        weight_set.weights.create(event_type=event_type, weight=weight, norm=norm)
    # Filled as a draft and activated after: from then on a trigger keeps the weights as they are.
    weight_set.state, weight_set.activated_at = "active", Now()
    weight_set.save()


class Migration(migrations.Migration):
    dependencies = [("features", "0002_append_only_and_frozen")]

    operations = [migrations.RunPython(register, migrations.RunPython.noop)]
