"""CPU time of functions that are called in this process, in turn, and what many short turns say."""

import time
from collections.abc import Callable, Mapping, Sequence
from operator import sub
from statistics import median


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


def figure_and_reference(turns: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return what short turns of two sides say of each: the median of the second, and it with the median difference.

    Medians of either side alone vary by twice as much, by what the machine does in some of the turns.
    """
    reference = median(second for _, second in turns)
    return reference + median(sub(*both) for both in turns), reference
