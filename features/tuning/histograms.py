"""Histograms for people to look at: of one column of values, or of several with the same bars."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from features.formulas.activity import Floats

BINS = 20
# The last bar holds all values above this quantile: one very large value must not hide all others.
NEARLY_ALL = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramBar:
    """The number of customers with a value from `low` to `high`; None stands for no upper bound."""

    low: float
    high: float | None
    customers: int


def histograms(*sides: Floats) -> list[list[HistogramBar]]:
    """Return the bars of each column of values. All columns have the same bars, of equal width.

    Few whole numbers get a bar each instead.
    """
    together = np.concatenate(sides)
    if not len(together):
        return [[] for _ in sides]
    low, high = float(together.min()), float(np.quantile(together, NEARLY_ALL, method="higher"))
    capped = np.minimum(together, high)
    if low == high or (high - low < BINS and np.all(capped == np.rint(capped))):
        numbers = np.unique(capped).tolist()
        bars = [count_whole_numbers(np.minimum(side, high), numbers=numbers) for side in sides]
    else:
        # Between the ends, because the length of the range may be more than a double can hold.
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
    """Return a bar for each pair of neighbouring edges, with the count of the values in between."""
    sizes: Sequence[int] = np.histogram(values, bins=edges)[0].tolist()
    ranges = pairwise(edges.tolist())
    return [HistogramBar(low=low, high=high, customers=size) for (low, high), size in zip(ranges, sizes, strict=True)]
