"""Send Celery tasks, by name.

A message is a nudge: PostgreSQL holds the work, and beat's sweeps find it if no worker was woken.
"""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def enqueue(task: str, *arguments: int, queue: str = "batch") -> None:
    """Send a task. If the broker is down, log it and raise nothing: no work is lost, it is only done later."""
    try:
        current_app.send_task(task, args=arguments, queue=queue)
    except OperationalError as error:
        logger.warning("Task %s was not sent; a sweep will find its work: %s", task, error)
