"""Compare the distribution of the engagement scores, today and a week ago, of the same random customers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.utils import timezone

from featurehub.lib.snapshot import Snapshot
from features.monitoring.random_customers import draw_customers
from features.offline.as_of import Entity
from features.serving.point_in_time import as_of_join

SHOWN_SCORE = "engagement_score"
CUSTOMERS_DRAWN = 1_000
SECONDS_SHOWN = 300.0
RANGES = 10
A_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreShares:
    """The share of the customers in each of RANGES equal ranges from 0 to 1, in percent, and how many there were."""

    shares: Sequence[float]
    customers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresOverAWeek:
    """Both distributions. `is_everybody`: there are no more customers than are drawn."""

    today: ScoreShares
    a_week_ago: ScoreShares
    is_everybody: bool


def compare_scores() -> ScoresOverAWeek:
    """Return the distributions of up to CUSTOMERS_DRAWN random customers, from the history, in a few queries."""
    now = timezone.now()
    customer_ids, is_everybody = draw_customers(CUSTOMERS_DRAWN)
    return ScoresOverAWeek(
        today=score_shares(customer_ids, at=now),
        a_week_ago=score_shares(customer_ids, at=now - A_WEEK),
        is_everybody=is_everybody,
    )


def score_shares(customer_ids: Sequence[str], *, at: datetime) -> ScoreShares:
    """Return the distribution of the scores that held at a moment; customers without a score then are left out."""
    rows = as_of_join([Entity(customer_id, at) for customer_id in customer_ids], names=[SHOWN_SCORE])
    scores = [row.features[SHOWN_SCORE] for row in rows if SHOWN_SCORE not in row.missing]
    counts = np.histogram(scores, bins=RANGES, range=(0.0, 1.0))[0]
    return ScoreShares(shares=(100 * counts / max(len(scores), 1)).tolist(), customers=len(scores))


# Drawn anew every few minutes: a page that refreshes every few seconds asks for it each time.
scores_over_a_week = Snapshot(compare_scores, seconds=SECONDS_SHOWN)
