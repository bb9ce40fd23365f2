"""Measures of how well scores separate later buyers from the others: AUC, lift and purchase rate by decile.

Pure: columns in, plain numbers out. Intervals are 95 % confidence intervals.

A customer appears on several of the days scored, and is like itself: intervals of the AUC are computed over customers,
not over rows. Sources: E. R. DeLong et al. 1988 for an AUC's components, N. A. Obuchowski 1997 for summing them by
cluster, E. B. Wilson 1927 for the interval of a share.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from features.formulas.activity import Bools, Floats, Ints

DECILES = 10
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decile:
    """A tenth of the rows, the highest scores first. `lift` is its purchase rate over that of all rows."""

    rows: int
    mean_score: float
    rate: Estimate
    lift: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    auc: Estimate
    deciles: list[Decile]


def evaluate_scores(scores: Floats, *, bought: Bools, customers: Ints) -> Evaluation:
    """Evaluate n rows: a score, whether the customer bought afterwards, and a number for the customer.

    There must be rows of both outcomes.
    """
    return Evaluation(
        auc=auc_estimate(auc_components(scores, bought=bought), bought=bought, customers=customers),
        deciles=deciles(scores, bought=bought, customers=customers),
    )


def auc_components(scores: Floats, *, bought: Bools) -> Floats:
    """Return for each row the share of rows of the other outcome it is ordered correctly against; ties are halves."""
    overall = scipy.stats.rankdata(scores)
    components = np.empty(len(scores))
    buyers, others = int(bought.sum()), int((~bought).sum())
    components[bought] = (overall[bought] - scipy.stats.rankdata(scores[bought])) / others
    components[~bought] = 1.0 - (overall[~bought] - scipy.stats.rankdata(scores[~bought])) / buyers
    return components


def auc_estimate(components: Floats, *, bought: Bools, customers: Ints) -> Estimate:
    """Return the AUC with its interval.

    For the difference of two sets' components, that is the difference of their AUCs with its interval.
    """
    value = float(components[bought].mean())
    influence = np.where(bought, components - value, components - float(components[~bought].mean()))
    influence = influence / np.where(bought, bought.sum(), (~bought).sum())
    _, cluster = np.unique(customers, return_inverse=True)
    sums = np.bincount(cluster, weights=influence)
    deviations = scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2)  # 1.96
    half = float(deviations * np.sqrt(np.sum(sums**2) * len(sums) / max(len(sums) - 1, 1)))
    return Estimate(value=value, low=value - half, high=value + half)


def deciles(scores: Floats, *, bought: Bools, customers: Ints) -> list[Decile]:
    """Return ten parts by falling score; equal scores are ordered by the customer's number, which is arbitrary."""
    overall = float(bought.mean())
    order = np.lexsort((customers, -scores))
    parts = [part for part in np.array_split(order, DECILES) if len(part)]
    return [
        Decile(
            rows=len(part),
            mean_score=float(scores[part].mean()),
            rate=rate,
            lift=Estimate(value=rate.value / overall, low=rate.low / overall, high=rate.high / overall),
        )
        for part in parts
        for rate in [share_estimate(int(bought[part].sum()), of=len(part))]
    ]


def share_estimate(hits: int, *, of: int) -> Estimate:
    """Return the share hits / of with its Wilson interval. `of` is positive."""
    interval = scipy.stats.binomtest(hits, of).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(value=hits / of, low=float(interval.low), high=float(interval.high))


def difference(first: Floats, second: Floats, *, bought: Bools, customers: Ints) -> Estimate:
    """Return the second scores' AUC minus the first's, on the same rows."""
    components = auc_components(second, bought=bought) - auc_components(first, bought=bought)
    return auc_estimate(components, bought=bought, customers=customers)


def evaluation_as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation as JSON types, to be stored."""

    def numbers(estimate: Estimate) -> dict[str, float]:
        return {"value": estimate.value, "low": estimate.low, "high": estimate.high}

    return {
        "auc": numbers(evaluation.auc),
        "deciles": [
            {
                "rows": decile.rows,
                "mean_score": decile.mean_score,
                "rate": numbers(decile.rate),
                "lift": numbers(decile.lift),
            }
            for decile in evaluation.deciles
        ],
    }
