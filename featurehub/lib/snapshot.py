"""In-memory copies, with a bounded age, of small data in PostgreSQL that seldom changes."""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError

from featurehub.lib.background import background_jobs

logger = logging.getLogger(__name__)
T = TypeVar("T")
DATABASE_AWAY = (OperationalError, InterfaceError)
# In the background a copy is loaded again after this part of its bounded age, so that it is never older.
PART_OF_AGE = 0.8
SECONDS_TO_NEXT_TRY = 1.0
# Before a request is refused for what a copy lacks, a younger one is asked for: it may have been made a moment ago.
# This limits how often guesses cause a query.
LOOK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Copy(Generic[T]):
    """A value as PostgreSQL held it at `loaded_at`, with the fingerprint of that moment.

    Moments are of the monotonic clock. The value ends at `ends_at`, whatever its age.
    """

    value: T
    loaded_at: float
    ends_at: float
    fingerprint: object

    @property
    def has_ended(self) -> bool:
        return time.monotonic() >= self.ends_at

    def is_younger_than(self, seconds: float) -> bool:
        now = time.monotonic()
        return now - self.loaded_at < seconds and now < self.ends_at


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
        in_background: bool = False,
    ) -> None:
        """Take the functions that load the copy and tell its age.

        `until` returns the seconds until an early reload, counted from the load, or None. `fingerprint` costs less than
        `load` and returns an equal value while the data is unchanged. With `in_background`, a process of a pool loads
        the copy again beside its requests, in time, and no request waits for that.
        """
        self._load = load
        self._seconds = seconds
        self._until = until
        self._fingerprint = fingerprint
        self._in_background = in_background
        self._is_kept_young = False
        self._loading = threading.Lock()
        self._changing = threading.Lock()
        self._copy: Copy[T] | None = None
        self._oldest = 0.0  # loads that began earlier come too late

    def get(self, *, younger_than: float | None = None) -> T:
        """Return the copy: loaded or compared with PostgreSQL at most `younger_than` seconds ago.

        The default is the bounded age of this snapshot. One thread loads at a time. Without `younger_than`, the others
        use the old copy meanwhile: if PostgreSQL is down, loading takes as long as waiting for a connection.
        """
        copy = self._copy
        if copy is not None and self._is_kept_young and younger_than is None and not copy.has_ended:
            return copy.value
        limit = self._seconds if younger_than is None else younger_than
        if copy is not None and copy.is_younger_than(limit):
            return copy.value
        if self._in_background and settings.POOL and not self._is_kept_young:
            self._is_kept_young = True
            background_jobs.run(self._keep_young)
        # A copy that has ended is wrong from that moment on, not only old: nobody uses it while PostgreSQL answers.
        if not self._loading.acquire(blocking=copy is None or younger_than is not None or copy.has_ended):
            assert copy is not None
            return copy.value
        try:
            copy = self._copy
            if copy is None or not (copy.is_younger_than(limit) or self._is_unchanged(copy)):
                copy = self._reload(copy)
            return copy.value
        finally:
            self._loading.release()

    def forget(self) -> None:
        """Load the copy again at its next use; to be called after a change by this process."""
        with self._changing:
            self._copy, self._oldest = None, time.monotonic()

    def _is_unchanged(self, copy: Copy[T]) -> bool:
        """Return whether the copy is within the bounded age and equal to what PostgreSQL holds."""
        try:
            return copy.is_younger_than(self._seconds) and self._fingerprint() == copy.fingerprint
        except DATABASE_AWAY:
            return False

    def _reload(self, last: Copy[T] | None) -> Copy[T]:
        """Return a new copy, or the last one as if it were new: PostgreSQL is not asked more often while it is away."""
        try:
            return self._load_copy()
        except DATABASE_AWAY:
            if last is None:
                raise
            logger.warning("PostgreSQL can't be reached: using the copy in memory.")
            kept = replace(last, loaded_at=time.monotonic(), ends_at=math.inf)
            with self._changing:
                if self._copy is last:
                    self._copy = kept
            return kept

    def _load_copy(self) -> Copy[T]:
        """Load a copy and use it from now on."""
        begun = time.monotonic()
        # Before the load: a change between the two makes the next comparison fail, and the copy is loaded again.
        fingerprint = self._fingerprint()
        value = self._load()
        ends_in = self._until(value)
        # Counted from before the load, so never late; a load that is early finds how little is left.
        ends_at = math.inf if ends_in is None else begun + ends_in
        return self._use(Copy(value, begun, ends_at, fingerprint))

    def _use(self, copy: Copy[T]) -> Copy[T]:
        """Use the copy from now on, unless one that was loaded later is there."""
        with self._changing:
            if copy.loaded_at >= self._oldest:
                self._copy, self._oldest = copy, copy.loaded_at
        return copy

    def _keep_young(self) -> None:
        """Load the copy now, and again before it is too old; in the thread for jobs in the background."""
        in_seconds = SECONDS_TO_NEXT_TRY
        try:
            copy = self._load_copy()
            next_at = min(copy.loaded_at + PART_OF_AGE * self._seconds, copy.ends_at)
            in_seconds = max(next_at - time.monotonic(), 0.0)
        except DATABASE_AWAY as error:
            logger.debug("The copy in memory stays in use: %s", error)
        finally:
            background_jobs.run(self._keep_young, in_seconds=in_seconds)
