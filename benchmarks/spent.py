"""The cost of a piece of work: wall time, and CPU time of all processes that take part."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import TICKS_PER_SECOND, fields
from featurehub.devserver.servers import SERVERS


@dataclass(slots=True)
class Spent:
    """Seconds of wall and CPU time.

    `cpu` is that of this process, PostgreSQL, Redis and their children. Other users of the machine do not add to it.
    """

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu)


@contextmanager
def spent() -> Iterator[Spent]:
    """Measure the block. The yielded object is filled in at its end."""
    measured = Spent()
    pids = taking_part()
    wall, cpu = time.perf_counter(), cpu_seconds(pids)
    yield measured
    measured.wall = time.perf_counter() - wall
    measured.cpu = cpu_seconds(pids) - cpu


def taking_part() -> list[int]:
    """Return the ids of this process and the embedded servers."""
    folder = Path(os.environ["FEATUREHUB_LOCAL_DIR"])
    pids = [server(folder / name).pid() for server, name in SERVERS.values()]
    return [os.getpid(), *(pid for pid in pids if pid is not None)]


def processes() -> dict[int, list[str]]:
    """Return the `fields` of every process of the machine."""
    stats = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            stats[int(folder.name)] = fields(int(folder.name))
    return stats


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return user and system time of the processes and their descendants, those that have ended included."""
    # The time of a process that ends meanwhile may be in its own numbers and in those of its parent, or in neither.
    before, stats, after = processes(), processes(), processes()
    while not before.keys() <= stats.keys() <= after.keys():
        before, stats, after = stats, after, processes()
    taking_part = set(pids)
    while children := {pid for pid, stat in stats.items() if int(stat[1]) in taking_part} - taking_part:
        taking_part |= children
    return sum(int(ticks) for pid in taking_part & set(stats) for ticks in stats[pid][11:15]) / TICKS_PER_SECOND
