"""Start again what ended and should run on: after growing delays, and not forever."""

from abc import ABC, abstractmethod

from featurehub.devserver.output import say

# The delay doubles from one end to the next: 1, 2, 4 and 8 s, and the fifth end in a row is the last.
_MOST_RESTARTS = 4
# After a run of this length, earlier ends are forgotten.
_SECONDS_OF_A_GOOD_RUN = 60.0


class ProcessEnded(Exception):
    """A program or server ended that should run on; the message is a sentence."""


class Restarted(ABC):
    """A program or server that runs, and is started again if it ends."""

    def __init__(self, name: str, *, first_delay: float, now: float) -> None:
        self.name = name
        self._first_delay = first_delay
        self._ends = 0
        self._started_at = now
        self._next_start: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Return whether it ended and is not started again yet."""
        return self._next_start is not None

    @abstractmethod
    def describe_end(self) -> str | None:
        """Return None while it runs, else how it ended, as far as is known."""

    @abstractmethod
    def start(self) -> None:
        """Start it, or raise ProcessEnded with the reason why that is impossible."""

    @abstractmethod
    def point_to_output(self) -> str:
        """Return a sentence that shows the end of its output, or says where that is."""

    def look(self, *, now: float) -> None:
        """Start it again if it ended and the delay is over. Raise ProcessEnded after too many ends in a row."""
        if self._next_start is not None:
            if now >= self._next_start:
                say(f"Starting {self.name} again")
                self._next_start = None
                self._started_at = now
                self.start()
        elif (end := self.describe_end()) is not None:
            self._plan_next_start(end, now=now)

    def _plan_next_start(self, end: str, *, now: float) -> None:
        if now > self._started_at + _SECONDS_OF_A_GOOD_RUN:
            self._ends = 0
        self._ends += 1
        if self._ends > _MOST_RESTARTS:
            raise ProcessEnded(f"{self.name} ended {self._ends} times in a row ({end}). {self.point_to_output()}")
        delay = self._first_delay * 2 ** (self._ends - 1)
        self._next_start = now + delay
        say(f"{self.name} ended unexpectedly ({end}) and is started again in {delay:g} s")
