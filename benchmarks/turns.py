"""CPU time of functions that are called in this process, in turn."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def cpu_us(pieces: Mapping[str, Callable[[], object]], *, rounds: int, calls: int) -> dict[str, float]:
    """Return the CPU time that a call of each function takes this process: medians, in microseconds."""
    measured: dict[str, list[float]] = {name: [] for name in pieces}
    for _ in range(rounds):
        for name, work in pieces.items():
            start = time.process_time()
            for _ in range(calls):
                work()
            measured[name].append((time.process_time() - start) / calls * 1e6)
    return {name: median(times) for name, times in measured.items()}
