"""History rows as columns."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
from django.conf import settings

from featurehub.lib.clock import microseconds
from features.formulas.activity import Floats
from features.formulas.decay import DecaySnapshot, decayed_values
from features.formulas.values import Columns, column
from features.formulas.view import FeatureView
from features.offline.history import Latest


def decay_snapshot_of(rows: Sequence[Latest], *, view: FeatureView, inputs: Iterable[str] = ()) -> DecaySnapshot:
    """Return the decay snapshot of a behavioral version's rows, with the values of `inputs`."""
    values = [row.features for row in rows]
    return DecaySnapshot(
        row_ids=np.array([row.id for row in rows], dtype=np.int64),
        since_us=np.array([row.since_us for row in rows], dtype=np.int64),
        last_purchase_us=np.array([row.metadata["activity"]["last_purchase_us"] for row in rows], dtype=np.int64),
        decaying={feature.name: column(values, feature.name) for feature in view.decaying},
        inputs={name: column(values, name) for name in inputs},
    )


def decayed_to(until: datetime, rows: Sequence[Latest], *, view: FeatureView) -> dict[str, Floats]:
    """Return the time-dependent values of a behavioral version's rows, decayed to `until`: name → column."""
    return decayed_values(
        decay_snapshot_of(rows, view=view), view=view, until_us=microseconds(until), window_days=settings.WINDOW_DAYS
    )


def stored_columns(rows: Sequence[Latest], *, names: Iterable[str]) -> Columns:
    """Return the named values of one version's rows as they are stored."""
    values = [row.features for row in rows]
    return Columns([row.customer_id for row in rows], {name: column(values, name) for name in names})
