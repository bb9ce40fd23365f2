"""Events are buffered, and sent by a thread in the background.

Memory is bounded: by `capacity` events of at most LARGEST_EVENT bytes each. What is lost, and when:

- The buffer is full, since the server is away or slower than the program: `when_full` says whether `put` waits
  (`block`), the oldest event is given up (`drop_oldest`), or BufferFullError is raised (`raise`).
- The server refuses an event: it is given up, and the others of its request are sent without it. Where it refuses the
  whole request, for a wrong API key, all of its events are given up.
- At `close`, which also runs when the interpreter exits, what is not sent within its time is given up.
- The process dies by a signal or `os._exit`: what is in the buffer is lost, and nobody is told. With a server that
  answers, that is what was put within the last `interval` seconds.

While the server is away, events stay in the buffer and are tried again until it is back. Each has an event_id, so that
one that is sent twice counts once. Whatever is given up is passed to `on_loss`, and else logged as a warning.
"""

import atexit
import logging
import random
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from threading import Condition, Thread

import msgspec

from featurehub_client.errors import (
    ApiError,
    BufferFullError,
    RateLimitedError,
    UnavailableError,
)
from featurehub_client.models import StoredEvents
from featurehub_client.sent import NewEvent

logger = logging.getLogger(__name__)
# FeatureHub takes 8 KB of metadata.
LARGEST_EVENT = 16 * 1024
# Between two attempts, in seconds.
FIRST_WAIT, LONGEST_WAIT = 0.1, 30.0


class WhenFull(StrEnum):
    """The policy of a full buffer."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    RAISE = "raise"


class LossReason(StrEnum):
    """The reason for which events were given up."""

    BUFFER_FULL = "buffer_full"
    REFUSED = "refused"
    NOT_SENT_AT_CLOSE = "not_sent_at_close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Events that were given up, each as JSON, with the API's error where there is one."""

    reason: LossReason
    events: Sequence[bytes]
    error: ApiError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffering:
    """The settings of a buffer.

    Events are sent when `batch` of them wait, or `interval` seconds after the first of them was put. `capacity` is the
    most that are held, those that are being sent among them. `close_timeout` is in seconds. `on_loss` is called by the
    thread that finds the loss, and is to be quick: the buffer waits for it.
    """

    capacity: int = 10_000
    batch: int = 500
    interval: float = 1.0
    when_full: WhenFull | str = WhenFull.BLOCK
    close_timeout: float = 10.0
    on_loss: Callable[[Loss], None] | None = None

    def __post_init__(self) -> None:
        WhenFull(self.when_full)
        if not 1 <= self.batch <= min(self.capacity / 2, 10_000):
            raise ValueError("`batch` is 1 to 10,000, and at most half of `capacity`.")


@dataclass(slots=True)
class EventCounts:
    """What became of the events so far. `stored` were new to the server, `duplicates` were there before."""

    put: int = 0
    stored: int = 0
    duplicates: int = 0
    lost: int = 0

    @property
    def settled(self) -> int:
        """The number of events of which it is decided what became of them."""
        return self.stored + self.duplicates + self.lost


class EventBuffer:
    """A bounded queue of events, and the thread that sends them.

    `send` stores a list of events, or raises FeatureHubError. Threads may share a buffer; a process that forks makes
    one after the fork.
    """

    def __init__(self, send: Callable[[list[msgspec.Raw]], StoredEvents], settings: Buffering) -> None:
        self._send = send
        self._settings = settings
        self._counts = EventCounts()
        self._waiting: deque[msgspec.Raw] = deque()
        self._in_flight: list[msgspec.Raw] = []
        self._due_at = 0.0
        self._flush_to = 0
        self._is_closing = self._is_given_up = False
        self._changed = Condition()
        self._thread: Thread | None = None

    @property
    def counts(self) -> EventCounts:
        """The counts at this moment."""
        with self._changed:
            return replace(self._counts)

    def put(self, event: NewEvent, *, timeout: float | None = None) -> None:
        """Take an event, to be sent soon.

        Where the buffer is full, act as its policy says; with `block`, wait for at most `timeout` seconds. Raise
        BufferFullError where the event is not taken, ValueError for one that is too large, RuntimeError after `close`.
        """
        encoded = encode_event(event)
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._is_closing and self._is_full():
                self._make_room(end)
            if self._is_closing:
                raise RuntimeError("The event buffer is closed.")
            self._take_in(encoded)

    def would_block(self) -> bool:
        """Return whether `put` would wait now."""
        with self._changed:
            return self._settings.when_full == WhenFull.BLOCK and self._is_full()

    def flush(self, *, timeout: float | None = None) -> bool:
        """Send what is in the buffer now, and return whether all of it is stored or lost within `timeout` seconds."""
        with self._changed:
            self._flush_to = target = self._counts.put
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._counts.settled >= target, timeout)

    def close(self, *, timeout: float | None = None) -> None:
        """Send what is in the buffer for at most `timeout` seconds, give up the rest, and take no more events.

        The server may have stored a request that is given up while it is being sent.
        """
        timeout = self._settings.close_timeout if timeout is None else timeout
        atexit.unregister(self.close)
        with self._changed:
            if self._is_closing:
                return
            self._is_closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._counts.settled == self._counts.put, timeout)
            self._is_given_up = True
            left = [*self._in_flight, *self._waiting]
            self._waiting.clear()
            self._lose(left, reason=LossReason.NOT_SENT_AT_CLOSE)

    # --- Under the lock -----------------------------------------------------------------------------------------------

    def _is_full(self) -> bool:
        return len(self._waiting) + len(self._in_flight) >= self._settings.capacity

    def _make_room(self, end: float | None) -> None:
        """Give up the oldest event, or wait for a change. Raise BufferFullError where neither is allowed."""
        if self._settings.when_full == WhenFull.DROP_OLDEST:
            self._lose([self._waiting.popleft()], reason=LossReason.BUFFER_FULL)
            return
        left = None if end is None else end - time.monotonic()
        if self._settings.when_full == WhenFull.RAISE or (left is not None and left <= 0):
            raise BufferFullError(f"The event buffer holds {self._settings.capacity:,} events that are not sent yet.")
        self._changed.wait(left)

    def _take_in(self, encoded: msgspec.Raw) -> None:
        if not self._waiting:
            self._due_at = time.monotonic() + self._settings.interval
        self._waiting.append(encoded)
        self._counts.put += 1
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._run, name="featurehub-events", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        # The thread waits for the first event, and for a full batch.
        if len(self._waiting) in (1, self._settings.batch):
            self._changed.notify_all()

    def _lose(self, events: Sequence[msgspec.Raw], *, reason: LossReason, error: ApiError | None = None) -> None:
        if not events:
            return
        self._counts.lost += len(events)
        self._changed.notify_all()
        if self._settings.on_loss is None:
            logger.warning("%d events are lost: %s. %s", len(events), reason, error or "")
            return
        try:
            self._settings.on_loss(Loss(reason=reason, events=[bytes(event) for event in events], error=error))
        except Exception:  # the events after these are to be sent all the same
            logger.exception("`on_loss` failed, of %d events that are lost: %s", len(events), reason)

    def _is_due(self) -> bool:
        return (
            self._is_closing
            or len(self._waiting) >= self._settings.batch
            or self._counts.settled < self._flush_to
            or time.monotonic() >= self._due_at
        )

    # --- In the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while batch := self._next_batch():
            failures = 0 if self._send_batch(batch) else failures + 1
            if failures:
                self._wait_after(failures)

    def _next_batch(self) -> list[msgspec.Raw]:
        """Wait for events that are due, and return them; none where the buffer is closed and empty."""
        with self._changed:
            while not self._waiting or not self._is_due():
                if self._is_closing:
                    return []
                self._changed.wait(max(self._due_at - time.monotonic(), 0.0) if self._waiting else None)
            most = min(len(self._waiting), self._settings.batch)
            self._in_flight = [self._waiting.popleft() for _ in range(most)]
            return self._in_flight

    def _send_batch(self, batch: list[msgspec.Raw]) -> bool:
        """Send the events. Return whether they are stored or given up; if not, they are back in the buffer."""
        try:
            stored = self._send(batch)
        except ApiError as error:
            if isinstance(error, RateLimitedError | UnavailableError):
                return self._put_back(batch, error)
            wrong, rest = split_at_wrong(batch, error)
            self._settle(back=rest, refused=wrong, error=error)
        except Exception as error:  # no answer, or that of a proxy; whatever it is, the thread goes on
            return self._put_back(batch, error)
        else:
            self._settle(stored=stored, refused=[batch[each.index] for each in stored.refused])
        return True

    def _put_back(self, batch: list[msgspec.Raw], error: Exception) -> bool:
        logger.info("%d events are not sent yet: %r", len(batch), error)
        self._settle(back=batch)
        return False

    def _settle(
        self,
        *,
        back: Sequence[msgspec.Raw] = (),
        stored: StoredEvents | None = None,
        refused: Sequence[msgspec.Raw] = (),
        error: ApiError | None = None,
    ) -> None:
        """End the sending of a batch: count what is stored and refused, and put the others back to the front."""
        with self._changed:
            if self._is_given_up:  # all of it is counted as lost
                return
            self._in_flight = []
            self._waiting.extendleft(reversed(back))
            if stored is not None:
                self._counts.stored += stored.accepted
                self._counts.duplicates += stored.duplicates
            self._lose(refused, reason=LossReason.REFUSED, error=error)
            self._changed.notify_all()

    def _wait_after(self, failures: int) -> None:
        """Wait before the next attempt, for less long where the buffer is closing."""
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures, 10))
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, random.uniform(longest / 2, longest))  # noqa: S311
            if self._is_closing:
                self._changed.wait_for(lambda: self._is_given_up, FIRST_WAIT)


def encode_event(event: NewEvent) -> msgspec.Raw:
    """Return the event as JSON, so that a later change of its metadata changes nothing.

    Raise ValueError for one that is larger than FeatureHub takes, or has no offset from UTC.
    """
    if event.timestamp.tzinfo is None:
        raise ValueError("The timestamp of an event has an offset from UTC.")
    encoded = msgspec.json.encode(event)
    if len(encoded) > LARGEST_EVENT:
        raise ValueError(f"An event is at most {LARGEST_EVENT:,} bytes as JSON, not {len(encoded):,}.")
    return msgspec.Raw(encoded)


def split_at_wrong(batch: list[msgspec.Raw], error: ApiError) -> tuple[list[msgspec.Raw], list[msgspec.Raw]]:
    """Return the events that the error is about, and the others. Without a place in the batch it is about all."""
    named = {int(match[1]) for problem in error.problems if (match := re.match(r"events\.(\d+)", problem.attr or ""))}
    wrong = [event for place, event in enumerate(batch) if place in named]
    rest = [event for place, event in enumerate(batch) if place not in named]
    return (wrong, rest) if wrong else (batch, [])
