from django.apps import AppConfig
from django.core.checks import Tags, register

from events.checks import check_tombstone_keys


class EventsConfig(AppConfig):
    name = "events"

    def ready(self) -> None:
        register(check_tombstone_keys, Tags.security, deploy=True)
