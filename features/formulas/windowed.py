"""Windowed features: aggregates over the events of a window, defined by operators without a deployment.

Every engine computes them in its one pass over the events. An event matches if as_of − window ≤ timestamp ≤ as_of,
exact to the microsecond, if it has the event type and the category, where these are given, and if its metadata have a
usable value under the metadata key, where that is given. `amount` and `category` are parsed at ingestion; of other keys
the JSON value is used.

- count: the number of matching events.
- sum, mean, max, last: of the key's numbers. Of two at the last moment, the larger one is the last.
- distinct: the number of different strings and numbers under the key; 1 and 1.0 are one value, "1" and 1 are two.

With a half-life, an event of age a has the weight 0.5 ** (a / half_life): a count is the sum of the weights, a sum that
of the weighted numbers, a mean the weighted mean. Without a matching event every value is 0. Values beyond the largest
double are cut to it.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from features.formulas.activity import MICROSECONDS_PER_DAY, Floats, Ints

HOURS_PER_DAY = 24
COUNT, SUM, MEAN, MAX, LAST, DISTINCT = "count", "sum", "mean", "max", "last", "distinct"
# Bounds within which weighting neither overflows nor underflows. Larger numbers are cut to LARGEST_DECAYING, smaller
# ones than SMALLEST_DECAYING count as 0, and ages are cut to MOST_HALF_LIVES half-lives.
LARGEST_DECAYING, SMALLEST_DECAYING = 1e290, 1e-100
MOST_HALF_LIVES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowedFeature:
    """The definition of a windowed feature; None: any event type, any category, no key, no half-life."""

    name: str
    kind: str
    event_type: str | None = None
    category: str | None = None
    metadata_key: str | None = None
    window_hours: int
    half_life_days: float | None = None

    @property
    def window(self) -> timedelta:
        """Return the length of the window, in which a day has 24 hours."""
        return timedelta(hours=self.window_hours)

    @property
    def decays(self) -> bool:
        """Return whether time alone changes the value.

        A mean does not decay: all of its weights fall by the same factor.
        """
        return self.half_life_days is not None and self.kind in (COUNT, SUM)


def decayed(feature: WindowedFeature, values: Floats, *, elapsed_us: Ints) -> Floats:
    """Return values × 0.5 ** (elapsed / half-life): a decaying feature's values after `elapsed_us` microseconds.

    No event arrives or leaves in that time.
    """
    assert feature.half_life_days is not None
    moved: Floats = values * np.exp2(-elapsed_us / (feature.half_life_days * MICROSECONDS_PER_DAY))
    return moved
