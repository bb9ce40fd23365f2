from django.apps import AppConfig
from django.core.checks import Tags, register

from features.registry.checks import check_behavioral_definitions


class FeaturesConfig(AppConfig):
    name = "features"

    def ready(self) -> None:
        register(check_behavioral_definitions, Tags.database)
