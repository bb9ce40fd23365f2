"""Define the Celery application.

Messages are nudges: PostgreSQL holds the work that is to be done.
"""

import os

from celery import Celery
from celery.signals import worker_process_init

from featurehub.lib.gc_tuning import freeze_loaded_objects

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")

app = Celery("featurehub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def prepare_worker_process(**_: object) -> None:
    """Exclude the loaded objects from garbage collection before the first task."""
    freeze_loaded_objects()
