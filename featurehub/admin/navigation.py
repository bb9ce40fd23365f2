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


def may_change(model: str) -> Callable[[HttpRequest], bool]:
    """Return a function of a request: whether its user works with `app.model`, beyond looking at it."""
    app_label, name = model.split(".")
    return lambda request: request.user.has_perm(f"{app_label}.change_{name}")


def item(title: str, *, icon: str, model: str, for_those_who_change: str = "") -> dict[str, Any]:
    """Return a link to the list of `app.model`, for those who may view it.

    `for_those_who_change` another `app.model` only, if it is given: the others find in the menu what they work with.
    The list itself stays open to all who may view it.
    """
    address = reverse_lazy(f"admin:{model.replace('.', '_')}_changelist")
    shown_to = may_change(for_those_who_change) if for_those_who_change else may_view(model)
    return {"title": title, "icon": icon, "link": address, "permission": shown_to}


def static_url(path: str) -> Callable[[HttpRequest], str]:
    """Return a function of a request that gives the address of a static file: settings can't resolve it yet."""
    return lambda request: static(path)


# Operators change these, and the others of the same group with them.
OPERATED, TASKS = "features.run", "django_celery_beat.periodictask"
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
            item(
                "Erased customers",
                icon="person_off",
                model="events.erasedcustomer",
                for_those_who_change="events.erasedcustomer",
            ),
        ],
    },
    {
        "title": "Events",
        "items": [
            item("Events", icon="bolt", model="events.event"),
            item("Event types", icon="category", model="events.eventtype"),
        ],
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
            item("Feature sets", icon="checklist", model="features.featureset"),
        ],
    },
    {
        "title": "Operations",
        "items": [
            item("Jobs", icon="progress_activity", model="features.run", for_those_who_change=OPERATED),
            item("Backlog", icon="pending_actions", model="events.dirtycustomer", for_those_who_change=OPERATED),
            item("Consistency", icon="fact_check", model="features.consistencycheck", for_those_who_change=OPERATED),
            item("Value monitoring", icon="query_stats", model="features.featureprofile"),
            item(
                "Periodic tasks", icon="schedule", model="django_celery_beat.periodictask", for_those_who_change=TASKS
            ),
            item("Intervals", icon="timer", model="django_celery_beat.intervalschedule", for_those_who_change=TASKS),
            item(
                "Crontabs",
                icon="calendar_month",
                model="django_celery_beat.crontabschedule",
                for_those_who_change=TASKS,
            ),
        ],
    },
    {
        "title": "Access",
        "items": [
            item("API keys", icon="key", model="access.apikey", for_those_who_change="access.apikey"),
            item("Users", icon="person", model="auth.user", for_those_who_change="auth.user"),
            item("Roles", icon="badge", model="auth.group", for_those_who_change="auth.group"),
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
    "SITE_URL": None,  # there is no other site
    "ACCOUNT": {
        "navigation": [
            {"title": "API documentation", "link": reverse_lazy("docs")},
            {"title": "Change password", "link": reverse_lazy("admin:password_change")},
        ]
    },
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": static_url("features/favicon.svg")}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [static_url(f"features/{name}.css") for name in ("colors", "admin", "charts")],
    "SCRIPTS": [static_url(f"features/{name}.js") for name in ("policy", "chart_config", "chart_marks", "charts")],
    "COLORS": lambda request: {},  # they are in colors.css: unfold would write them into each page
    "DASHBOARD_CALLBACK": "features.admin.overview.page.dashboard",
    "SIDEBAR": {"navigation": NAVIGATION},
}
