"""Completeness: readers use Redis only while it holds everything that was published (decision 17).

A Redis that was restarted or replaced lacks its last writes, and one that did not answer for a moment or refuses writes
has missed what was published meanwhile. A reader who has seen the newer values, from PostgreSQL or from Redis, must not
be shown the older ones. So each web process watches its Redis: a thread asks it for its identity ten times a second.
A look holds for half a second. After a trouble of any kind PostgreSQL answers, until it says

    - that this Redis is the one that holds everything (`materialization.recovery` sees to that), and
    - that all publications from before Redis answered again are done.

Where PostgreSQL is away as well, nothing was written since, and the Redis of before is used again.
"""

import logging
import time
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import connections

from featurehub.lib.background import BackgroundThread
from featurehub.lib.breaker import Breaker
from featurehub.lib.redis_away import REDIS_AWAY
from featurehub.lib.snapshot import DATABASE_AWAY
from features.materialization.locks import database_now
from features.materialization.recovery import is_publishing
from features.models import OnlineStore
from features.online import hmget
from features.online.identity import ask_identity, new_connection, redis_breaker
from features.online.trust import trust

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_QUESTIONS = 0.1


class Completeness:
    """The state of Redis as this process knows it. Troubles are counted; the last confirmation was after so many."""

    def __init__(self) -> None:
        self._failed_looks = 0
        self._confirmed_after: int | None = None
        self._identity = ""
        # The troubles that Redis answers after, and PostgreSQL's moment at which it did so for the first time.
        self._answers_after: tuple[int, datetime] | None = None
        self._thread: BackgroundThread | None = None

    def holds(self) -> bool:
        """Return whether the Redis that this thread reads from holds everything.

        Where nobody watches, in a process without a pool, it is taken to. A thread that has not read yet has to ask
        again afterwards.
        """
        if self._thread is None:
            return True
        return trust.holds and self._confirmed_after == self._troubles() and hmget.is_of(self._identity)

    @cached_property
    def _breaker(self) -> Breaker:
        return redis_breaker()

    def _troubles(self) -> int:
        """Return the number of troubles: a timeout, a look that failed."""
        return self._failed_looks + self._breaker.openings

    def start(self) -> None:
        """Begin to watch, at the start of a process of a pool."""
        trust.begin()
        self._thread = BackgroundThread(self._watch, name="completeness of Redis")
        self._thread.start()

    def _watch(self) -> None:
        connection = new_connection()
        while True:
            try:
                self._look(connection)
            except REDIS_AWAY as error:
                trust.note_refusal()
                self._failed_looks += 1
                logger.debug("Redis can't be used: %s", error)
            except Exception:  # the thread goes on
                self._failed_looks += 1
                logger.exception("Looking at Redis failed.")
            time.sleep(SECONDS_BETWEEN_QUESTIONS)

    def _look(self, connection: Any) -> None:
        """Ask Redis, and after a trouble PostgreSQL."""
        looked_at, troubles = time.monotonic(), self._troubles()
        seen = ask_identity(connection)
        if seen == self._identity and self._confirmed_after == troubles:
            trust.renew(looked_at=looked_at)
            return
        try:
            is_complete = self._is_complete(seen, troubles=troubles)
        except DATABASE_AWAY:
            is_complete = seen == self._identity
        finally:
            connections.close_all()
        self._confirmed_after = troubles if is_complete else None
        if is_complete:
            self._identity = seen
            trust.renew(looked_at=looked_at)

    def _is_complete(self, seen: str, *, troubles: int) -> bool:
        """Ask PostgreSQL whether the Redis with this identity holds everything."""
        if self._answers_after is None or self._answers_after[0] != troubles:
            self._answers_after = troubles, database_now()
        is_known = OnlineStore.objects.filter(identity__in=("", seen)).exists()
        return is_known and not is_publishing(since=self._answers_after[1])


completeness = Completeness()
