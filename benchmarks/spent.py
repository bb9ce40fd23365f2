"""What a piece of work costs: time on the clock, and on the processors of all who take part."""

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
    """Seconds. `cpu` is that of this process, PostgreSQL, Redis and their children, and holds still where others
    use the machine."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu)


@contextmanager
def spent() -> Iterator[Spent]:
    """Filled in at the end of the block."""
    measured = Spent()
    pids = taking_part()
    wall, cpu = time.perf_counter(), cpu_seconds(pids)
    yield measured
    measured.wall = time.perf_counter() - wall
    measured.cpu = cpu_seconds(pids) - cpu


def taking_part() -> list[int]:
    """This process and the embedded servers."""
    folder = Path(os.environ["FEATUREHUB_LOCAL_DIR"])
    pids = [server(folder / name).pid() for server, name in SERVERS.values()]
    return [os.getpid(), *(pid for pid in pids if pid is not None)]


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of the processes and of their descendants, those that have ended included."""
    stats = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            stats[int(folder.name)] = fields(int(folder.name))
    taking_part = set(pids)
    while children := {pid for pid, stat in stats.items() if int(stat[1]) in taking_part} - taking_part:
        taking_part |= children
    return sum(int(ticks) for pid in taking_part & set(stats) for ticks in stats[pid][11:15]) / TICKS_PER_SECOND
