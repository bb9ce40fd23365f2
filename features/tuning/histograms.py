"""Values in bars, for people to look at: of one side, or of several on the same range."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from features.formulas.activity import Floats

BINS = 20
# The last bar holds what is beyond this share of the values: one very large value must not hide all others.
NEARLY_ALL = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramBar:
    """How many customers have a value from `low` to `high`; None: or more."""

    low: float
    high: float | None
    customers: int


def histograms(*sides: Floats) -> list[list[HistogramBar]]:
    """Bars of one width for each side, of the same ranges; where there are few whole numbers, a bar each."""
    together = np.concatenate(sides)
    if not len(together):
        return [[] for _ in sides]
    low, high = float(together.min()), float(np.quantile(together, NEARLY_ALL, method="higher"))
    capped = np.minimum(together, high)
    if low == high or (high - low < BINS and np.all(capped == np.rint(capped))):
        numbers = np.unique(capped).tolist()
        bars = [count_whole_numbers(np.minimum(side, high), numbers=numbers) for side in sides]
    else:
        # Not by its length, which may be more than a double can hold.
        share = np.arange(BINS + 1) / BINS
        edges = np.maximum.accumulate((1 - share) * low + share * high)
        bars = [count_in_bins(np.minimum(side, high), edges=edges) for side in sides]
    if together.max() > high:
        bars = [[*side[:-1], replace(side[-1], high=None)] for side in bars]
    return bars


def count_whole_numbers(values: Floats, *, numbers: Sequence[float]) -> list[HistogramBar]:
    """Return a bar for each number, with the count of the values that equal it."""
    return [HistogramBar(low=at, high=at, customers=int(np.count_nonzero(values == at))) for at in numbers]


def count_in_bins(values: Floats, *, edges: Floats) -> list[HistogramBar]:
    sizes: Sequence[int] = np.histogram(values, bins=edges)[0].tolist()
    ranges = pairwise(edges.tolist())
    return [HistogramBar(low=low, high=high, customers=size) for (low, high), size in zip(ranges, sizes, strict=True)]
