"""A copy in memory of something small and seldom changed in PostgreSQL, with a bounded age."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Snapshot(Generic[T]):
    """Loads at first use and again when it is older than `seconds`.

    While PostgreSQL is away the last copy goes on serving: reads from the cache need nothing else.
    """

    def __init__(self, load: Callable[[], T], *, seconds: float) -> None:
        self._load = load
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held: T | None = None
        self._loaded_at = 0.0

    def get(self, *, younger_than: float | None = None) -> T:
        """The copy, at most `younger_than` (or the bounded age of this snapshot) seconds old."""
        held = self._held
        limit = self._seconds if younger_than is None else younger_than
        if held is not None and time.monotonic() - self._loaded_at < limit:
            return held
        with self._lock:
            if self._held is None or time.monotonic() - self._loaded_at >= limit:
                self._held = self._reload()
                self._loaded_at = time.monotonic()
            return self._held

    def forget(self) -> None:
        """Loads again at the next use: after a change made by this process."""
        with self._lock:
            self._held = None

    def _reload(self) -> T:
        try:
            return self._load()
        except (OperationalError, InterfaceError):
            if self._held is None:
                raise
            logger.warning("PostgreSQL is away: serving from the copy in memory.")
            return self._held
