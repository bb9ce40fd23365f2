"""Define the Celery application.

Messages are nudges: PostgreSQL holds the work that is to be done.
"""

import logging
import os

from celery import Celery
from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    beat_init,
    task_postrun,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
)
from django.conf import settings
from django.db import close_old_connections
from django.utils.module_loading import import_string
from kombu.transport.redis import Transport

from featurehub.lib.gc_tuning import tune_for_batch_work
from featurehub.observability.task_signals import count_sent_tasks
from featurehub.observability.tracing import tracing

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
def use_log_lines(*, logger: logging.Logger, **_: object) -> None:
    """Let workers and beat log as the web processes do: Celery replaces the handlers of Django's settings."""
    for handler in logger.handlers:
        handler.setFormatter(settings.LOG_LINES())


@worker_init.connect
def prepare_worker(**_: object) -> None:
    """Import once, in the parent, what its processes need for traces."""
    tracing.load()


@worker_process_init.connect
def prepare_worker_process(**_: object) -> None:
    """Begin to trace and count, and keep garbage collection small, before the first task."""
    tracing.start("worker")
    start_counting()
    tune_for_batch_work()


@worker_process_shutdown.connect
def end_worker_process(**_: object) -> None:
    """Write what was counted since the last flush, and send the last spans."""
    import_string("features.monitoring.flush.flush_traffic")()
    tracing.stop()


@beat_init.connect
def prepare_beat(**_: object) -> None:
    """Begin to count the tasks that beat sends."""
    count_sent_tasks()
    start_counting()


def start_counting() -> None:
    """Write what this process counts from now on. Models can't be imported before Django is set up."""
    import_string("features.monitoring.flush.start_flushing")()
