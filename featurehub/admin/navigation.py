"""The admin's sidebar: its links, their order, and the permission of each.

Settings import this module, so it imports nothing that needs Django's apps, `featurehub.admin.permissions` included.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def may_view(model: str) -> Callable[[HttpRequest], bool]:
    """Return a function of a request: whether its user may look at `app.model`."""
    app_label, name = model.split(".")
    return lambda request: request.user.has_perm(f"{app_label}.view_{name}")


def item(title: str, *, icon: str, model: str) -> dict[str, Any]:
    """Return a link to the list of `app.model`, for those who may view it."""
    address = reverse_lazy(f"admin:{model.replace('.', '_')}_changelist")
    return {"title": title, "icon": icon, "link": address, "permission": may_view(model)}


def static_url(path: str) -> Callable[[HttpRequest], str]:
    """Return a function of a request that gives the address of a static file: settings can't resolve it yet."""
    return lambda request: static(path)


NAVIGATION = [
    {
        "items": [{"title": "Overview", "icon": "monitoring", "link": reverse_lazy("admin:index")}],
    },
    {
        "title": "Customers",
        "items": [
            item("Customers", icon="group", model="features.customer"),
            {
                "title": "Customer lists",
                "icon": "format_list_numbered",
                "link": reverse_lazy("admin:features_customer_lists"),
                "permission": may_view("features.customer"),
            },
            item("Feature history", icon="history", model="features.customerfeature"),
            item("Erased customers", icon="person_off", model="events.erasedcustomer"),
        ],
    },
    {
        "title": "Events",
        "items": [item("Events", icon="bolt", model="events.event")],
    },
    {
        "title": "Weights",
        "items": [item("Weight sets", icon="tune", model="features.weightset")],
    },
    {
        "title": "Registry",
        "items": [
            item("Feature definitions", icon="dictionary", model="features.featuredefinition"),
            item("Feature versions", icon="layers", model="features.featureversion"),
        ],
    },
    {
        "title": "Operations",
        "items": [
            item("Runs", icon="progress_activity", model="features.run"),
            item("Backlog", icon="pending_actions", model="events.dirtycustomer"),
            item("Consistency", icon="fact_check", model="features.consistencycheck"),
            item("Value monitoring", icon="query_stats", model="features.featureprofile"),
            item("Periodic tasks", icon="schedule", model="django_celery_beat.periodictask"),
            item("Intervals", icon="timer", model="django_celery_beat.intervalschedule"),
            item("Crontabs", icon="calendar_month", model="django_celery_beat.crontabschedule"),
        ],
    },
    {
        "title": "Access",
        "items": [
            item("API keys", icon="key", model="access.apikey"),
            item("Users", icon="person", model="auth.user"),
            item("Roles", icon="badge", model="auth.group"),
            item("Failed logins", icon="password", model="axes.accessfailurelog"),
            item("Locked logins", icon="lock_person", model="axes.accessattempt"),
        ],
    },
    {
        "title": "Record",
        "items": [item("Activity log", icon="receipt_long", model="features.activitylogentry")],
    },
]

UNFOLD_SETTINGS: dict[str, Any] = {
    "SITE_TITLE": "FeatureHub",
    "SITE_HEADER": "FeatureHub",
    "SITE_SUBHEADER": "Feature store",
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": static_url("features/favicon.svg")}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [static_url(f"features/{name}.css") for name in ("colors", "admin", "charts")],
    "SCRIPTS": [static_url(f"features/{name}.js") for name in ("policy", "chart_config", "chart_marks", "charts")],
    "COLORS": lambda request: {},  # they are in colors.css: unfold would write them into each page
    "DASHBOARD_CALLBACK": "features.admin.overview.page.dashboard",
    "SIDEBAR": {"navigation": NAVIGATION},
}
