"""Define the scheduler of beat: django-celery-beat's, which by itself ends beat if PostgreSQL is away for minutes."""

import logging
import time
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django_celery_beat.schedulers import DatabaseScheduler

logger = logging.getLogger(__name__)

_DATABASE_AWAY = (OperationalError, InterfaceError)
_SECONDS_BETWEEN_ATTEMPTS = 1.0


class PatientScheduler(DatabaseScheduler):
    """A schedule in PostgreSQL that holds on while PostgreSQL is away: the tasks are sent as it was last read."""

    def setup_schedule(self) -> None:
        """Read the schedule for the first time, as soon as PostgreSQL answers."""
        while True:
            try:
                connection.ensure_connection()
                break
            except _DATABASE_AWAY as error:
                logger.warning("The schedule cannot be read yet: %s", error)
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        super().setup_schedule()

    def tick(self, *arguments: Any, **options: Any) -> float:
        """Send the tasks that are due and return the seconds until the next are.

        django-celery-beat catches the errors of its frequent question for changes, but not those of the complete
        reading that it does every five minutes.
        """
        try:
            seconds: float = super().tick(*arguments, **options)
        except _DATABASE_AWAY as error:
            logger.warning("The schedule was not read again; the tasks are sent as before: %s", error)
            return _SECONDS_BETWEEN_ATTEMPTS
        return seconds
