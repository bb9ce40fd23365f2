"""CPU time of functions that are called in this process, in turn."""

import time
from collections.abc import Callable, Mapping


def cpu_us(pieces: Mapping[str, Callable[[], object]], *, rounds: int, calls: int) -> dict[str, list[float]]:
    """Return the CPU time that a call of each function takes this process, in microseconds, for each round."""
    measured: dict[str, list[float]] = {name: [] for name in pieces}
    for _ in range(rounds):
        for name, work in pieces.items():
            start = time.process_time()
            for _ in range(calls):
                work()
            measured[name].append((time.process_time() - start) / calls * 1e6)
    return measured
