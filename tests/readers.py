"""Steady reads at a fixed rate, from a process of its own, and what became of each.

`python tests/readers.py PORT KEY SECONDS PATH …` sends 200 requests a second, spread over the paths, by 40 connections.
It prints one JSON line for each: [late, waited, status, source], where `late` are the seconds by which the machine let
it oversleep, `waited` those from the sending to the end of the answer, and status 0 stands for a broken connection.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import cycle, islice
from typing import NamedTuple

PER_SECOND = 200
CONNECTIONS = 40
SECONDS_AT_MOST = 30.0


class Read(NamedTuple):
    """A line of the program's output."""

    late: float
    waited: float
    status: int
    source: str


@dataclass(slots=True)
class Reads:
    """The reads of a time, in no order."""

    lines: list[Read] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return percentile_99([line.waited for line in self.lines])

    @property
    def delay(self) -> float:
        """Return how long the machine lets a process wait for a processor."""
        return percentile_99([line.late for line in self.lines])

    @property
    def longest(self) -> float:
        return max(line.waited for line in self.lines)

    @property
    def failures(self) -> list[int]:
        """Return the statuses other than 200."""
        return [line.status for line in self.lines if line.status != 200]


def percentile_99(numbers: Sequence[float]) -> float:
    """Return the number that 99 % of the numbers do not exceed; 0 where there are none."""
    return sorted(numbers)[int(len(numbers) * 0.99)] if numbers else 0.0


@contextmanager
def steady_reads(port: int, *, paths: Sequence[str], key: str, seconds: float) -> Iterator[Reads]:
    """Read so long beside the block. The lines are there after it."""
    command = [sys.executable, __file__, str(port), key, str(seconds), *paths]
    reads = Reads()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reading:
        yield reads
        output, _ = reading.communicate(timeout=seconds + 120)
    reads.lines = [Read(*json.loads(line)) for line in output.splitlines()]
    assert len(reads.lines) == round(seconds * PER_SECOND)


def main(port: str, key: str, seconds: str, *paths: str) -> None:
    start = time.monotonic() + 0.5
    shares = [islice(cycle(paths), number, None) for number in range(CONNECTIONS)]

    def read(number: int) -> list[Read]:
        reader = Reader(int(port), key=key)
        moments = range(number, round(float(seconds) * PER_SECOND), CONNECTIONS)
        return [reader.get(next(shares[number]), at=start + moment / PER_SECOND) for moment in moments]

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        for lines in threads.map(read, range(CONNECTIONS)):
            for line in lines:
                print(json.dumps(line))


class Reader:
    """One connection, which is opened again after it broke."""

    def __init__(self, port: int, *, key: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS_AT_MOST)
        self._headers = {"Authorization": f"Api-Key {key}"}

    def get(self, path: str, *, at: float) -> Read:
        """Send the request at this moment, or at once where the answer before it came later."""
        is_early = (wait := at - time.monotonic()) > 0.0
        time.sleep(max(wait, 0.0))
        begin = time.monotonic()
        late = begin - at if is_early else 0.0
        try:
            self._connection.request("GET", path, headers=self._headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException):
            self._connection.close()
            return Read(late, time.monotonic() - begin, 0, "")
        source = json.loads(body).get("source", "") if answer.status == 200 else ""
        return Read(late, time.monotonic() - begin, answer.status, source)


if __name__ == "__main__":
    main(*sys.argv[1:])
