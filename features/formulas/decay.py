"""Values that the passing of time changes, moved forward without reading events."""

from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt

from features.formulas.activity import NEVER, Floats, Ints
from features.formulas.behavioral import recency_score
from features.formulas.view import FeatureView
from features.formulas.windowed import decayed

RECENCY = "recency_score"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecaySnapshot:
    """What time moves the values of a behavioral version's rows from: when they were appended, the last purchase
    (NEVER: none), and the decaying values; beside them the `inputs`, which do not move, of values that are derived from
    both. NaN where a row has none. Moments are microseconds since 1970 UTC."""

    row_ids: Ints
    since_us: Ints
    last_purchase_us: Ints
    decaying: Mapping[str, Floats]
    inputs: Mapping[str, Floats]

    @property
    def layout(self) -> int:
        """A number that stands for the names, in their order."""
        return crc32(" ".join((*self.decaying, *self.inputs)).encode())

    def can_move(self) -> npt.NDArray[np.bool_]:
        """Whether time changes any value of a row at all."""
        moves: npt.NDArray[np.bool_] = self.last_purchase_us != NEVER
        for values in self.decaying.values():
            moves |= np.nan_to_num(values) != 0.0
        return moves


def decayed_values(
    base: DecaySnapshot, *, view: FeatureView, until_us: int | Ints, window_days: int
) -> dict[str, Floats]:
    """What time alone has made of a behavioral version's values, by one moment or a moment for each: name → column."""
    values = {
        feature.name: decayed(feature, base.decaying[feature.name], elapsed_us=until_us - base.since_us)
        for feature in view.decaying
    }
    if RECENCY in view.formulas:
        values[RECENCY] = recency_score(base.last_purchase_us, as_of_us=until_us, window_days=window_days)
    return values
