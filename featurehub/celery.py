"""Define the Celery application.

Messages are nudges: PostgreSQL holds the work that is to be done.
"""

import logging
import os

from celery import Celery
from celery.signals import after_setup_logger, after_setup_task_logger, task_postrun, worker_process_init
from django.db import close_old_connections
from kombu.transport.redis import Transport

from featurehub.lib.gc_tuning import freeze_loaded_objects
from featurehub.lib.private_lines import PrivateLines

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")

# If Redis dies while tasks run, kombu closes the channel, and confirms or returns their messages on it afterwards. It
# fails with an AttributeError, which is taken for a programming error and ends the worker. As an error of the
# connection, it lets the worker connect again; the tasks come again, too.
Transport.connection_errors = (*Transport.connection_errors, AttributeError)

app = Celery("featurehub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# After each task its session goes back to the pool of the process, which keeps it for the next task and checks it then.
# Celery itself would close the pool, too: CELERY_DB_REUSE_MAX keeps it from that.
task_postrun.connect(close_old_connections)


@after_setup_logger.connect
@after_setup_task_logger.connect
def use_private_lines(*, logger: logging.Logger, **_: object) -> None:
    """Let workers and beat log as the web processes do: Celery replaces the handlers of Django's settings."""
    for handler in logger.handlers:
        handler.setFormatter(PrivateLines())


@worker_process_init.connect
def prepare_worker_process(**_: object) -> None:
    """Exclude the loaded objects from garbage collection before the first task."""
    freeze_loaded_objects()
