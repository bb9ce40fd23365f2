"""Rank correlation of two columns of scores. Pure: no Django.

`import scipy` loads scipy.stats at its first use. That costs a second and 50 MB, which most processes never need.
"""

import numpy as np
import scipy

from features.formulas.activity import Floats


def rank_correlation(first: Floats, second: Floats) -> float | None:
    """Return Spearman's ρ in [-1, 1] of two columns of the same length, or None if it is undefined.

    It is undefined for fewer than two rows and for a constant column. Ties share their mean rank.
    """
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    # Pearson's correlation of the ranks. scipy.stats.spearmanr does the same, and then spends as long on a p-value.
    ranks = [scipy.stats.rankdata(column) for column in (first, second)]
    return float(np.corrcoef(ranks)[0, 1])
