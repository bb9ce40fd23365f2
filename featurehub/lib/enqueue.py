"""Waking a worker. What is to be done stands in PostgreSQL, and beat's sweeps find it where nobody was woken."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def enqueue(task: str, *arguments: int, queue: str = "batch") -> None:
    """Sends a task by name. A broker that is away costs time, not work: it is logged and nothing is raised."""
    try:
        current_app.send_task(task, args=arguments, queue=queue)
    except OperationalError as error:
        logger.warning("No worker was woken for %s, a sweep will find the work: %s", task, error)
