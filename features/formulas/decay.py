"""Decay: time-dependent values moved to a later moment without reading events."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.formulas.activity import NEVER, Bools, Floats, Ints
from features.formulas.behavioral import recency_score
from features.formulas.view import FeatureView
from features.formulas.windowed import decayed

RECENCY = "recency_score"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecaySnapshot:
    """The numbers from which a behavioral version's time-dependent values are computed, for n history rows.

    Moments are microseconds since 1970 UTC: `since_us` is the timestamp of the row, `last_purchase_us` is NEVER where
    there is none. `decaying` holds the values of decaying features at `since_us`; `inputs` holds values that do not
    depend on time and that derived features read. A column has NaN where a row has no value.
    """

    row_ids: Ints
    since_us: Ints
    last_purchase_us: Ints
    decaying: Mapping[str, Floats]
    inputs: Mapping[str, Floats]

    def can_decay(self) -> Bools:
        """Return for each row whether time changes any of its values."""
        decays: Bools = self.last_purchase_us != NEVER
        for values in self.decaying.values():
            decays |= np.nan_to_num(values) != 0.0
        return decays


def decayed_values(
    snapshot: DecaySnapshot, *, view: FeatureView, until_us: int | Ints, window_days: int
) -> dict[str, Floats]:
    """Return the time-dependent values of a behavioral version at one moment, or at one moment for each row.

    `until_us` is in microseconds since 1970 UTC; `window_days` is the window of `recency_score`.
    """
    values = {
        feature.name: decayed(feature, snapshot.decaying[feature.name], elapsed_us=until_us - snapshot.since_us)
        for feature in view.decaying
    }
    if RECENCY in view.formulas:
        values[RECENCY] = recency_score(snapshot.last_purchase_us, as_of_us=until_us, window_days=window_days)
    return values
