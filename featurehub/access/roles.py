"""The three roles: groups that are kept as they are described here. For other mixtures an administrator adds groups."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.apps.registry import Apps
from django.db.models import Q

# What every role sees: everything but sessions.
VISIBLE_APPS = ("events", "features", "access", "auth", "django_celery_beat")
# Role → the models it manages, `app.*` for all of an app. Managing is every permission there is on a model,
# among them those that it defines itself; what its admin page refuses, such as deleting an API key, stays refused.
MANAGED: Mapping[str, Sequence[str]] = {
    "viewer": (),
    "marketer": ("features.weightset", "features.weight"),
    "operator": (
        "features.featuredefinition",
        "features.featureversion",
        "features.run",
        "access.apikey",
        "events.erasedcustomer",
        "django_celery_beat.*",
    ),
}


def grant(app_config: AppConfig, *, apps: Apps, using: str, **_: Any) -> None:
    """Gives each role its permissions on the models of an app that was just migrated: a receiver of post_migrate.

    Permissions are made by a receiver that was connected before this one. Nothing is ever taken away here.
    """
    if app_config.label not in VISIBLE_APPS:
        return
    group_model = apps.get_model("auth", "Group")
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    in_app = permissions.filter(content_type__app_label=app_config.label)
    for role, managed in MANAGED.items():
        group, _created = group_model.objects.using(using).get_or_create(name=role)
        group.permissions.add(*in_app.filter(Q(codename__startswith="view_") | on_models(managed)))


def on_models(names: Sequence[str]) -> Q:
    """The permissions on these models (`app.model`, or `app.*`)."""
    wanted = Q(pk__in=[])
    for name in names:
        app_label, model = name.split(".")
        of_app = Q(content_type__app_label=app_label)
        wanted |= of_app if model == "*" else of_app & Q(content_type__model=model)
    return wanted
