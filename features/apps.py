from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Tags, register
from django.utils.module_loading import import_string

from features.registry.checks import check_behavioral_definitions


class FeaturesConfig(AppConfig):
    name = "features"

    def ready(self) -> None:
        register(check_behavioral_definitions, Tags.database)
        if settings.POOL:
            # Before the first read, so that Redis answers that. Models can't be imported any earlier.
            import_string("features.serving.completeness.completeness").start()
            import_string("features.monitoring.flush.start_flushing")()
