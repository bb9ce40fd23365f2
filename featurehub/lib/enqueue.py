"""Send Celery tasks, by name.

A message is a nudge: PostgreSQL holds the work, and beat's sweeps find it if no worker was woken. Who sends one that
stands for itself looks at whether it was sent.
"""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

from featurehub.lib.breaker import Breaker

logger = logging.getLogger(__name__)
BROKER_SECONDS = 1.0


def enqueue(task: str, *arguments: int, queue: str = "batch") -> bool:
    """Send a task and return whether it was sent.

    If the broker is down, log it and raise nothing: work that a sweep finds is not lost, it is only done later.
    """
    if broker_breaker.is_open:
        return False
    try:
        current_app.send_task(task, args=arguments, queue=queue)
    except OperationalError as error:
        logger.warning("Task %s was not sent; a sweep finds the work that PostgreSQL holds: %s", task, error)
        broker_breaker.open(error)
        return False
    return True


def connect_to_broker() -> None:
    """Open a connection of its own to the broker. Raise kombu's OperationalError if it does not answer in a second."""
    waits = dict.fromkeys(("socket_connect_timeout", "socket_timeout"), BROKER_SECONDS)
    with current_app.connection_for_write(connect_timeout=BROKER_SECONDS, transport_options=waits) as broker:
        broker.ensure_connection(max_retries=0)


broker_breaker = Breaker("The broker", probe=connect_to_broker)
