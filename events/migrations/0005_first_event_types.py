from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.models.functions import Now

# In the order in which their contributions to a score are added.
FIRST = {
    "page_view": ("Page view", "A page was looked at."),
    "email_open": ("E-mail opened", "An e-mail was opened."),
    "email_click": ("E-mail clicked", "A link in an e-mail was followed."),
    "form_submit": ("Form submitted", "A form was sent."),
    "purchase": ("Purchase", "Something was bought; metadata.amount is its price."),
    "login": ("Login", "The customer logged in."),
}


def register(apps: Apps, schema_editor: Any) -> None:
    apps.get_model("events", "EventType").objects.bulk_create(
        apps.get_model("events", "EventType")(name=name, label=label, description=description, used_at=Now())
        for name, (label, description) in FIRST.items()
    )


class Migration(migrations.Migration):
    """Register the event types that there were before types could be registered."""

    dependencies = [("events", "0004_event_types")]

    operations = [migrations.RunPython(register, migrations.RunPython.noop)]
