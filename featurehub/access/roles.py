"""The three roles: groups with fixed permissions.

Administrators add groups of their own for other combinations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.apps.registry import Apps
from django.db.models import Q

# Apps that every role can view: all except sessions, and failed logins with their addresses.
VISIBLE_APPS = ("events", "features", "access", "auth", "django_celery_beat")
# Role → the models it manages, `app.*` for all of an app. A role has every permission on a model that it manages,
# including custom ones. Its admin page may still refuse an action, such as deleting an API key.
MANAGED: Mapping[str, Sequence[str]] = {
    "viewer": (),
    "marketer": ("features.weightset", "features.weight"),
    "operator": (
        "features.featuredefinition",
        "features.featureversion",
        "features.featureset",
        "features.run",
        "features.consistencycheck",
        "features.featureprofile",
        "access.apikey",
        "events.erasedcustomer",
        "events.eventtype",
        "django_celery_beat.*",
        "axes.accessattempt",
        "axes.accessfailurelog",
    ),
}


def grant(app_config: AppConfig, *, apps: Apps, using: str, **_: Any) -> None:
    """Give each role its permissions on the models of the app that was just migrated; a receiver of post_migrate.

    Django creates the permissions in a receiver that is connected before this one. No permission is ever removed here.
    """
    label = app_config.label
    viewed = Q(codename__startswith="view_") if label in VISIBLE_APPS else Q(pk__in=[])
    if label not in (*VISIBLE_APPS, "axes"):
        return
    group_model = apps.get_model("auth", "Group")
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    in_app = permissions.filter(content_type__app_label=label)
    for role, managed in MANAGED.items():
        group, _created = group_model.objects.using(using).get_or_create(name=role)
        group.permissions.add(*in_app.filter(viewed | on_models(managed)))


def on_models(names: Sequence[str]) -> Q:
    """Return a filter of the permissions on these models (`app.model`, or `app.*`)."""
    wanted = Q(pk__in=[])
    for name in names:
        app_label, model = name.split(".")
        of_app = Q(content_type__app_label=app_label)
        wanted |= of_app if model == "*" else of_app & Q(content_type__model=model)
    return wanted
