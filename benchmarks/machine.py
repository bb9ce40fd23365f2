"""The machine, and the processor time and memory of processes (Linux: read from /proc)."""

import os
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@cache
def machine() -> str:
    """Return the processor and memory, such as `2 × AMD EPYC, 23 GB`; no host name."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} × {model[1] if model else 'processor'}, {gigabytes:.0f} GB"


class TooLittleDisk(Exception):
    """The disk has less room than a benchmark takes."""


def require_disk(gigabytes: float) -> None:
    """Raise TooLittleDisk where the embedded servers have less room: better now than after an hour."""
    folder = os.environ["FEATUREHUB_LOCAL_DIR"]
    free = shutil.disk_usage(folder).free / 2**30
    if free < gigabytes:
        raise TooLittleDisk(
            f"This benchmark takes up to {gigabytes:.0f} GB of disk, and {folder} has {free:.0f}: make room, or take "
            "BENCH_SCALE=10 for a tenth of it."
        )


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and its descendants, in seconds, to 1/100 s."""
    return sum(int(ticks) for each in family(pid) for ticks in fields(each)[11:13]) / TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants."""
    return sum(int(fields(each)[21]) for each in family(pid)) * os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> Iterator[int]:
    """Yield the process and its descendants."""
    yield pid
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(fields(int(folder.name))[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            yield from family(int(folder.name))


def fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the program's name, which may hold blanks.

    The first ones are the state and the parent's id.
    """
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
