"""Preview of other weights on the scores of a sample: the figures of the studio. Pure: columns in, numbers out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from featurehub.lib.clock import microseconds
from features.formulas.activity import MICROSECONDS_PER_DAY, NEVER, Floats
from features.formulas.behavioral import Weights, normalised, unclamped_score
from features.tuning.sample import Sample
from features.tuning.statistics import rank_correlation

SCORE_BINS = 20
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
MOVERS_SHOWN = 20
CATEGORIES_SHOWN = 8
RECENT_DAYS = 7
# Scores and contributions that differ by no more than this are the same, but for rounding.
NOTHING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSide:
    """The scores under one weight set; `histogram` counts customers in SCORE_BINS equal parts of [0, 1].

    `clamped` is the share of customers whose sum is above 1. `quantiles` are those of QUANTILES.
    """

    mean: float
    clamped: float
    histogram: list[int]
    quantiles: list[float]
    above_threshold: int
    mean_monetary: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """The change of one event type's contribution to a customer's score; `count` is that of the customer's events."""

    event_type: str
    change: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreMover:
    """A customer whose score would change much; `reasons` by size, before the clamp.

    `clamp_hides`: the contributions change by more than the score, because it is cut at 1.
    """

    customer_id: str
    before: float
    after: float
    reasons: list[Reason]
    clamp_hides: bool

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The mean scores of a part of the customers."""

    name: str
    customers: int
    before: float
    after: float

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePreview:
    """The scores of `customers` active customers, estimated from `sampled` of them.

    `before` is under the active weights, `after` under the weights that are tried.
    """

    taken_at: datetime
    customers: int
    inactive: int
    sampled: int
    threshold: float
    before: ScoreSide
    after: ScoreSide
    rank_correlation: float | None
    crossed_up: int
    crossed_down: int
    unchanged: int
    movers: list[ScoreMover]
    by_category: list[Segment]
    by_recency: list[Segment]


def preview_scores(sample: Sample, *, active: Weights, tried: Weights, threshold: float) -> ScorePreview | None:
    """Return the figures of other weights; None where there is no active customer.

    `threshold` is a score in [0, 1] that divides the customers.
    """
    if not len(sample):
        return None
    before, after = (unclamped_score(sample.counts, weights=weights) for weights in (active, tried))
    old, new = np.minimum(before, 1.0), np.minimum(after, 1.0)
    return ScorePreview(
        taken_at=sample.taken_at,
        customers=sample.customers,
        inactive=sample.inactive,
        sampled=len(sample),
        threshold=threshold,
        before=score_side(sample, unclamped=before, weights=active, threshold=threshold),
        after=score_side(sample, unclamped=after, weights=tried, threshold=threshold),
        rank_correlation=rank_correlation(old, new),
        crossed_up=int(np.count_nonzero((old < threshold) & (new >= threshold))),
        crossed_down=int(np.count_nonzero((old >= threshold) & (new < threshold))),
        unchanged=int(np.count_nonzero(np.abs(new - old) <= NOTHING)),
        movers=biggest_movers(sample, active=active, tried=tried, old=old, new=new),
        by_category=by_category(sample, old=old, new=new),
        by_recency=by_recency(sample, old=old, new=new),
    )


def score_side(sample: Sample, *, unclamped: Floats, weights: Weights, threshold: float) -> ScoreSide:
    """Return the figures of the scores under one set. A score of exactly 1 is clamped only if the sum was above 1."""
    scores = np.minimum(unclamped, 1.0)
    return ScoreSide(
        mean=float(scores.mean()),
        clamped=float(np.mean(unclamped > 1.0)),
        histogram=np.histogram(scores, bins=SCORE_BINS, range=(0.0, 1.0))[0].tolist(),
        quantiles=np.quantile(scores, QUANTILES).tolist(),
        above_threshold=int(np.count_nonzero(scores >= threshold)),
        mean_monetary=float(np.minimum(sample.purchase_amount / weights.monetary_norm, 1.0).mean()),
    )


def crossing(sample: Sample, *, active: Weights, tried: Weights, threshold: float) -> list[ScoreMover]:
    """Return the customers whose scores cross the threshold, those that change most, the largest change first."""
    if not len(sample):
        return []
    old, new = (np.minimum(unclamped_score(sample.counts, weights=weights), 1.0) for weights in (active, tried))
    # Those that stay on their side count as unchanged.
    across = np.where((old < threshold) != (new < threshold), new, old)
    return biggest_movers(sample, active=active, tried=tried, old=old, new=across)


def biggest_movers(sample: Sample, *, active: Weights, tried: Weights, old: Floats, new: Floats) -> list[ScoreMover]:
    """Return the MOVERS_SHOWN customers whose scores change most, the largest change first; none that stay the same."""
    size = np.abs(new - old)
    largest = np.argsort(-size, kind="stable")[:MOVERS_SHOWN]
    chosen = largest[size[largest] > NOTHING]
    counts = {name: column[chosen] for name, column in sample.counts.items()}
    before, after = normalised(counts, weights=active), normalised(counts, weights=tried)
    changes = {name: tried.weight_of(name) * after[name] - active.weight_of(name) * before[name] for name in after}
    return [
        ScoreMover(
            customer_id=sample.customer_ids[row],
            before=float(old[row]),
            after=float(new[row]),
            reasons=sorted(
                (
                    Reason(event_type=name, change=float(changes[name][place]), count=int(counts[name][place]))
                    for name in changes
                    if abs(changes[name][place]) > NOTHING
                ),
                key=lambda reason: -abs(reason.change),
            ),
            clamp_hides=abs(math.fsum(change[place] for change in changes.values())) - float(size[row]) > NOTHING,
        )
        for place, row in enumerate(chosen.tolist())
    ]


def by_category(sample: Sample, *, old: Floats, new: Floats) -> list[Segment]:
    """Return the customers in segments, by the category that most of their events have.

    The largest categories are segments; the others are one together.
    """
    names, position, sizes = np.unique(np.array(sample.categories), return_inverse=True, return_counts=True)
    shown = np.argsort(-sizes, kind="stable")[:CATEGORIES_SHOWN]
    masks = [(str(names[number]), position == number) for number in shown]
    if len(names) > CATEGORIES_SHOWN:
        others = len(names) - CATEGORIES_SHOWN
        name = "1 other category" if others == 1 else f"{others} other categories"
        masks.append((name, ~np.isin(position, shown)))
    return list(segments(masks, old=old, new=new))


def by_recency(sample: Sample, *, old: Floats, new: Floats) -> list[Segment]:
    """Return the customers in segments, by their last purchase before the sample was taken."""
    bought = sample.last_purchase_us != NEVER
    age = microseconds(sample.taken_at) - np.where(bought, sample.last_purchase_us, 0)
    recent = bought & (age <= RECENT_DAYS * MICROSECONDS_PER_DAY)
    masks = [
        (f"bought within {RECENT_DAYS} days", recent),
        ("bought earlier in the window", bought & ~recent),
        ("no purchase in the window", ~bought),
    ]
    return list(segments(masks, old=old, new=new))


def segments(masks: Sequence[tuple[str, np.ndarray]], *, old: Floats, new: Floats) -> Iterator[Segment]:
    """Yield a segment for each (name, mask of the customers in it) that is not empty."""
    for name, inside in masks:
        if inside.any():
            yield Segment(
                name=name,
                customers=int(np.count_nonzero(inside)),
                before=float(old[inside].mean()),
                after=float(new[inside].mean()),
            )
