"""Windowed features: what operators define without a deploy, and every engine computes in its one pass over the events.

An event matches where as_of − window_days × 24 h ≤ timestamp ≤ as_of, it is of the event type and the category where
those are given, and its metadata have a usable value under the metadata key where that is given. `amount` and
`category` are understood when events come in; of other keys the JSON value counts.

- count: the number of matching events.
- sum, mean, max, last: of the key's numbers. Of two at the last moment the larger one is the last.
- distinct: how many different strings and numbers the key has; 1 and 1.0 are one value, "1" and 1 are two.

With a half-life, an event of age a weighs 0.5 ** (a / half_life): a count is the sum of the weights, a sum that of the
weighted numbers, a mean the weighted mean. Without a matching event every value is 0. Values beyond the largest double
are the largest double.
"""

from dataclasses import dataclass

import numpy as np

from features.formulas.activity import MICROSECONDS_PER_DAY, Floats, Ints

COUNT, SUM, MEAN, MAX, LAST, DISTINCT = "count", "sum", "mean", "max", "last", "distinct"
# What is weighted must neither overflow nor underflow: numbers are read within these bounds, ages as at most so many
# half-lives.
LARGEST_DECAYING, SMALLEST_DECAYING = 1e290, 1e-100
MOST_HALF_LIVES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowedFeature:
    """What is computed of the matching events; None stands for any event type or category, no key, no half-life."""

    name: str
    kind: str
    event_type: str | None = None
    category: str | None = None
    metadata_key: str | None = None
    window_days: int
    half_life_days: float | None = None

    @property
    def decays(self) -> bool:
        """Whether time alone changes the value. Of a mean, all weights fall by one factor."""
        return self.half_life_days is not None and self.kind in (COUNT, SUM)


def decayed(feature: WindowedFeature, values: Floats, *, elapsed_us: Ints) -> Floats:
    """What a decaying feature's values have become after so many microseconds."""
    assert feature.half_life_days is not None
    moved: Floats = values * np.exp2(-elapsed_us / (feature.half_life_days * MICROSECONDS_PER_DAY))
    return moved
