"""Count what a process does, in memory: requests and tasks with their times, reads with their sources and ages.

`features.monitoring.flush` writes the counts of web processes, workers and beat to PostgreSQL, beside their work.
Nothing here waits for anything but a lock that is held for a moment. What each cached read does, it only notes, without
a lock: a read of one customer takes the next number, and the times of a thousand answers are counted at once.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import TypeAlias

import numpy as np

# Upper bounds in seconds; one more bucket holds what is above the last.
REQUEST_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
AGE_BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0)
# The age of one in so many reads is looked at: for each it would cost as much as all other counting.
READS_PER_AGE = 16
REQUESTS, READS, AGE_AT_READ = "requests", "reads", "age_at_read"
# The Overview has charts of them: their minutes and hours are kept, too.
CHARTED = frozenset((REQUESTS, READS, AGE_AT_READ))
TASK_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
PAGE_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DELAY_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0)
# Tasks by name and outcome; those that beat has sent; the time from a mark's moment to its publication.
TASK_TIMES, SENT_BY_BEAT, PUBLICATION_DELAY = "tasks", "sent_by_beat", "publication_delay"
# Pages of the admin and others outside of the API, with their times.
PAGE_TIMES = "pages"
# Posted events by what became of them; customers that Redis could not answer for, by reason; requests of the pool
# `reads` that were left to the pool `api`.
POSTED, FALLBACKS, HANDOVERS = "posted", "fallbacks", "handovers"

# The name of what is counted, and its labels.
Counted: TypeAlias = tuple[str, tuple[str, ...]]
# Of an answer: method, endpoint, status.
Answer: TypeAlias = tuple[str, str, int]
# Customers whose values came from Redis; the ages of values when they were read.
COUNTED_HITS: Counted = (READS, ("cache",))
COUNTED_AGE: Counted = (AGE_AT_READ, ())
# So many notes are counted by whoever makes the last of them, where no flush did so before.
NOTES_AT_ONCE = 1_024


@dataclass(slots=True)
class Counts:
    """A number, the sum of the values that were counted, and how many of them fell into each bucket."""

    count: int = 0
    total: float = 0.0
    buckets: list[int] = field(default_factory=list)

    def add(self, other: "Counts") -> None:
        """Add another tally with the same buckets, or with none."""
        self.count += other.count
        self.total += other.total
        if other.buckets:
            held = self.buckets or [0] * len(other.buckets)
            self.buckets = [mine + its for mine, its in zip(held, other.buckets, strict=True)]


class Traffic:
    """The tallies of this process since they were last taken, and notes of what is not counted yet."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tallies: dict[Counted, Counts] = {}
        self._reads = 0
        # Cached reads of one customer take the next number, which is atomic. So does each look at how many there were;
        # the read after it has its age noted.
        self._hits = count()
        self._looked_at, self._age_turn = -1, 0
        # The seconds of each answer, and the ages of some reads. To append to a list is atomic, and so is to take its
        # beginning away.
        self._seconds: dict[Answer, list[float]] = {}
        self._ages: list[float] = []

    def note_answer(self, answer: Answer, seconds: float) -> None:
        """Note an answer to a request, for REQUESTS."""
        try:
            noted = self._seconds[answer]
        except KeyError:
            noted = self._seconds.setdefault(answer, [])
        noted.append(seconds)
        if len(noted) >= NOTES_AT_ONCE:
            with self._lock:
                self._count_notes()

    def note_hit(self) -> bool:
        """Note a read of one customer, from Redis. Return what `wants_age` does; True for the first after a look."""
        return next(self._hits) % READS_PER_AGE == self._age_turn

    def note_hits(self, number: int) -> bool:
        """Count a read of so many customers, all from Redis. Return what `wants_age` does."""
        self.count(COUNTED_HITS, number=number)
        return self.wants_age()

    def note_age(self, seconds: float) -> None:
        """Note the age of the values of a read that `wants_age` has chosen, for AGE_AT_READ."""
        self._ages.append(seconds)
        if len(self._ages) >= NOTES_AT_ONCE:
            with self._lock:
                self._count_notes()

    def count(self, counted: Counted, *, number: int) -> None:
        """Count `number` of something without a value."""
        with self._lock:
            self._add(counted, Counts(number))

    def observe(self, counted: Counted, value: float, *, bounds: Sequence[float]) -> None:
        """Count one value, such as the time of a task, in its bucket."""
        tally = Counts(1, value, [0] * (len(bounds) + 1))
        tally.buckets[bisect_left(bounds, value)] = 1
        with self._lock:
            self._add(counted, tally)

    def observe_all(self, counted: Counted, values: Sequence[float], *, bounds: Sequence[float]) -> None:
        """Count many values in their buckets."""
        tally = tally_of(values, bounds=bounds)
        with self._lock:
            self._add(counted, tally)

    def wants_age(self) -> bool:
        """Return True for one in READS_PER_AGE reads: the reader then notes the age of its values."""
        self._reads += 1
        return self._reads % READS_PER_AGE == 0

    def take(self) -> dict[Counted, Counts]:
        """Return the tallies, and begin anew."""
        with self._lock:
            self._count_notes()
            taken, self._tallies = self._tallies, {}
        return taken

    def give_back(self, taken: Mapping[Counted, Counts]) -> None:
        """Add tallies that could not be written, so that they are taken again."""
        with self._lock:
            for counted, tally in taken.items():
                self._add(counted, tally)

    def _count_notes(self) -> None:
        """Count what was noted so far. The caller has the lock; others go on noting meanwhile."""
        for (method, endpoint, status_code), noted in list(self._seconds.items()):
            if seconds := taken_from(noted):
                self._add((REQUESTS, (method, endpoint, str(status_code))), tally_of(seconds, bounds=REQUEST_BOUNDS))
        if ages := taken_from(self._ages):
            self._add(COUNTED_AGE, tally_of(ages, bounds=AGE_BOUNDS))
        if hits := self._hits_since_the_last_look():
            self._add(COUNTED_HITS, Counts(hits))

    def _hits_since_the_last_look(self) -> int:
        number = next(self._hits)
        hits = number - self._looked_at - 1
        self._looked_at, self._age_turn = number, (number + 1) % READS_PER_AGE
        return hits

    def _add(self, counted: Counted, tally: Counts) -> None:
        self._tallies.setdefault(counted, Counts()).add(tally)


def tally_of(values: Sequence[float], *, bounds: Sequence[float]) -> Counts:
    """Return the tally of these values."""
    buckets = np.bincount(np.searchsorted(bounds, values), minlength=len(bounds) + 1)
    return Counts(len(values), sum(values), buckets.tolist())


def taken_from(notes: list[float]) -> list[float]:
    """Return the notes so far, and take them away from those that others append meanwhile."""
    taken = notes[:]
    del notes[: len(taken)]
    return taken


traffic = Traffic()
