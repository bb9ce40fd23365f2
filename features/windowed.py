"""Windowed features: what operators define without a deploy, and every engine computes in its one pass over the events.

An event matches where as_of − window ≤ timestamp ≤ as_of, of the event type and the category where those are given.
"""

from dataclasses import dataclass

import numpy as np

from features.formulas import MICROSECONDS_PER_DAY, Floats, Ints

COUNT, SUM, MEAN, MAX, LAST, DISTINCT = "count", "sum", "mean", "max", "last", "distinct"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowedFeature:
    """What is computed of the matching events: their number, or something of the metadata key's values.

    With a half-life an event of age a weighs 0.5 ** (a / half_life).
    """

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
