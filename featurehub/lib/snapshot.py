"""A copy in memory of something small and seldom changed in PostgreSQL, with a bounded age."""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError

logger = logging.getLogger(__name__)
T = TypeVar("T")
DATABASE_AWAY = (OperationalError, InterfaceError)


class Snapshot(Generic[T]):
    """Loads at first use and again when it is older than `seconds`.

    While PostgreSQL is away the last copy goes on serving: reads from the cache need nothing else.
    """

    def __init__(
        self,
        load: Callable[[], T],
        *,
        seconds: float,
        until: Callable[[T], float | None] = lambda held: None,
        fingerprint: Callable[[], object] = object,
    ) -> None:
        """`until` says in how many seconds from its load a copy is known to end before that; None: it is not.

        `fingerprint` costs less than `load` and gives the same as long as what is loaded is the same.
        """
        self._load = load
        self._seconds = seconds
        self._until = until
        self._fingerprint = fingerprint
        self._loaded: object = None
        self._lock = threading.Lock()
        self._held: T | None = None
        self._loaded_at = 0.0
        self._ends_at = math.inf

    def get(self, *, younger_than: float | None = None) -> T:
        """The copy, at most `younger_than` (or the bounded age of this snapshot) seconds old, or looked at since.

        One thread loads at a time. Without `younger_than` the others go on with the copy they have: where PostgreSQL
        is away, loading takes as long as waiting for a connection does.
        """
        held = self._held
        limit = self._seconds if younger_than is None else younger_than
        if held is not None and self._is_younger_than(limit):
            return held
        if not self._lock.acquire(blocking=held is None or younger_than is not None):
            assert held is not None
            return held
        try:
            if self._held is None or not (self._is_younger_than(limit) or self._is_unchanged()):
                self._held = self._reload()
                self._loaded_at = time.monotonic()
                ends_in = self._until(self._held)
                self._ends_at = math.inf if ends_in is None else self._loaded_at + ends_in
            return self._held
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Loads again at the next use: after a change made by this process."""
        with self._lock:
            self._held = None

    def _is_younger_than(self, seconds: float) -> bool:
        now = time.monotonic()
        return now - self._loaded_at < seconds and now < self._ends_at

    def _is_unchanged(self) -> bool:
        """Whether PostgreSQL still holds what was loaded within the bounded age."""
        try:
            return self._is_younger_than(self._seconds) and self._fingerprint() == self._loaded
        except DATABASE_AWAY:
            return False

    def _reload(self) -> T:
        try:
            # Before the load: what changes in between is found out.
            self._loaded = self._fingerprint()
            return self._load()
        except DATABASE_AWAY:
            if self._held is None:
                raise
            logger.warning("PostgreSQL is away: serving from the copy in memory.")
            return self._held
