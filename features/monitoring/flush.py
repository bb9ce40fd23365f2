"""Write the counts of a process to PostgreSQL, in a thread beside its requests or tasks."""

import logging

from django.db import Error
from django.utils import timezone

from featurehub.lib.background import background_jobs
from featurehub.lib.traffic import CHARTED, traffic
from features.monitoring.series import Points

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_FLUSHES = 5.0


def start_flushing() -> None:
    """Flush every SECONDS_BETWEEN_FLUSHES from now on, in this process: for a pool, a worker and beat."""
    background_jobs.run(flush_and_go_on, in_seconds=SECONDS_BETWEEN_FLUSHES)


def flush_and_go_on() -> None:
    try:
        flush_traffic()
    finally:
        start_flushing()


def flush_traffic() -> None:
    """Add what was counted since the last flush to the series: one statement, none where nothing was counted.

    Where PostgreSQL is away, the counts stay and are written later, under that later minute.
    """
    taken = traffic.take()
    now = timezone.now()
    points = Points(now=now)
    for counted, tally in taken.items():
        points.add(counted, tally, at=now, is_charted=counted[0] in CHARTED)
    try:
        points.write()
    except Error as error:
        traffic.give_back(taken)
        logger.debug("The counts of requests are written later: %s", error)
