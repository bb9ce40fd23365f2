from django.apps import AppConfig
from django.db.models.signals import post_migrate

from featurehub.access.roles import grant


class AccessConfig(AppConfig):
    name = "featurehub.access"
    verbose_name = "Access"

    def ready(self) -> None:
        # Here and not in a migration: Django makes the permissions themselves after migrating.
        post_migrate.connect(grant, dispatch_uid="featurehub.access.roles")
