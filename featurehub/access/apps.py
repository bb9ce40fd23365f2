from django.apps import AppConfig
from django.db.models.signals import post_migrate

from featurehub.access.roles import grant


class AccessConfig(AppConfig):
    name = "featurehub.access"
    verbose_name = "Access"

    def ready(self) -> None:
        # Not in a migration: Django creates the permissions after all migrations ran.
        post_migrate.connect(grant, dispatch_uid="featurehub.access.roles")
