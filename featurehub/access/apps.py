from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate

from featurehub.access.roles import grant
from featurehub.lib.old_database import refuse_unreleased


class AccessConfig(AppConfig):
    name = "featurehub.access"
    verbose_name = "Access"

    def ready(self) -> None:
        # A system check would not do: call_command("migrate") skips them. One sender: once per `migrate`.
        pre_migrate.connect(refuse_unreleased, sender=self, dispatch_uid="featurehub.lib.old_database")
        # Not in a migration: Django creates the permissions after all migrations ran.
        post_migrate.connect(grant, dispatch_uid="featurehub.access.roles")
