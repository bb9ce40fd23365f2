"""In-memory copies, with a bounded age, of small data in PostgreSQL that seldom changes."""

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
    """A copy that is loaded at its first use and again when it is older than `seconds`.

    While PostgreSQL is down, the last copy stays in use: reads from the cache need nothing else.
    """

    def __init__(
        self,
        load: Callable[[], T],
        *,
        seconds: float,
        until: Callable[[T], float | None] = lambda held: None,
        fingerprint: Callable[[], object] = object,
    ) -> None:
        """Take the functions that load the copy and tell its age.

        `until` returns the seconds until an early reload, counted from the load, or None. `fingerprint` costs less than
        `load` and returns an equal value while the data is unchanged.
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
        """Return the copy: loaded or compared with PostgreSQL at most `younger_than` seconds ago.

        The default is the bounded age of this snapshot. One thread loads at a time. Without `younger_than`, the others
        use the old copy meanwhile: if PostgreSQL is down, loading takes as long as waiting for a connection.
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
        """Load the copy again at its next use; to be called after a change by this process."""
        with self._lock:
            self._held = None

    def _is_younger_than(self, seconds: float) -> bool:
        now = time.monotonic()
        return now - self._loaded_at < seconds and now < self._ends_at

    def _is_unchanged(self) -> bool:
        """Return whether the copy is within the bounded age and equal to what PostgreSQL holds."""
        try:
            return self._is_younger_than(self._seconds) and self._fingerprint() == self._loaded
        except DATABASE_AWAY:
            return False

    def _reload(self) -> T:
        try:
            # Before the load: a change between the two makes the next comparison fail, and the copy is loaded again.
            self._loaded = self._fingerprint()
            return self._load()
        except DATABASE_AWAY:
            if self._held is None:
                raise
            logger.warning("PostgreSQL can't be reached: using the copy in memory.")
            return self._held
