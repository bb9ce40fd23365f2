"""Small statistics on columns. Pure: no Django; each names its source."""

import numpy as np

from features.formulas.activity import Floats


def ranks(values: Floats) -> Floats:
    """1 for the smallest; ties share their mean rank, as in the rank-sum test."""
    _, position, size = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(size)
    mean: Floats = (last - (size - 1) / 2.0)[position]
    return mean


def rank_correlation(first: Floats, second: Floats) -> float | None:
    """Spearman's ρ with ties: Pearson's correlation of the ranks. None where one column is constant or empty."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])
