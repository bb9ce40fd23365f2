"""The values of feature views as columns: computed from activity, moved by time, derived from other values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.conf import settings

from features.expressions import evaluate
from features.formulas import (
    MICROSECONDS_PER_DAY,
    NEVER,
    Activity,
    Floats,
    Ints,
    Weights,
    behavioral,
    microseconds,
    recency_score,
)
from features.history import Latest
from features.registry import FeatureView
from features.windowed import WindowedFeature, decayed

RECENCY = "recency_score"


@dataclass(frozen=True, slots=True)
class Columns:
    """A column of values a name, in the order of `customer_ids`; NaN where a customer has no value of it."""

    customer_ids: Sequence[str]
    by_name: Mapping[str, Floats]

    def rows(self) -> list[dict[str, float]]:
        """The values that each customer has."""
        columns = [column.tolist() for column in self.by_name.values()]
        return [
            {name: value for name, value in zip(self.by_name, row, strict=True) if value == value}
            for row in zip(*columns, strict=True)
        ]


def behavioral_values(view: FeatureView, activity: Activity, *, weights: Weights, as_of: datetime) -> Columns:
    """A behavioral version's values of this activity under its weights."""
    computed = behavioral(activity, weights=weights, as_of_us=microseconds(as_of), window_days=settings.WINDOW_DAYS)
    by_name = {name: computed[name] for name in view.formulas}
    return Columns(activity.customer_ids, by_name | {name: activity.windowed[name].value for name in view.windowed})


def moved_to(until: Sequence[datetime], rows: Sequence[Latest], *, view: FeatureView) -> dict[str, Floats]:
    """What time alone has made, by a moment for each, of a behavioral version's rows: name → column."""
    until_us = np.array([microseconds(moment) for moment in until], dtype=np.int64)
    since_us = np.array([microseconds(row.timestamp) for row in rows], dtype=np.int64)
    values = [row.features for row in rows]
    moved = {
        feature.name: decayed(feature, column(values, feature.name), elapsed_us=until_us - since_us)
        for feature in view.decaying
    }
    if RECENCY in view.formulas:
        purchases = np.array([row.metadata["activity"]["last_purchase_us"] for row in rows], dtype=np.int64)
        moved[RECENCY] = recency_score(purchases, as_of_us=until_us, window_days=settings.WINDOW_DAYS)
    return moved


def stored_columns(rows: Sequence[Latest], *, names: Iterable[str]) -> Columns:
    """The named values of rows of one version, as they are stored."""
    values = [row.features for row in rows]
    return Columns([row.customer_id for row in rows], {name: column(values, name) for name in names})


def column(rows: Sequence[Mapping[str, float]], name: str) -> Floats:
    """A name's values in rows of values; NaN where a row has none."""
    return np.array([features.get(name, np.nan) for features in rows], dtype=np.float64)


def derived_values(view: FeatureView, inputs: Sequence[Columns]) -> Columns:
    """A derived version's values, of every customer that is in one of the inputs."""
    customer_ids = list(dict.fromkeys(customer_id for columns in inputs for customer_id in columns.customer_ids))
    place = {customer_id: number for number, customer_id in enumerate(customer_ids)}
    known: dict[str, Floats] = {}
    for columns in inputs:
        places = [place[customer_id] for customer_id in columns.customer_ids]
        for name in view.reads & columns.by_name.keys():
            known[name] = np.full(len(customer_ids), np.nan)
            known[name][places] = columns.by_name[name]
    for name in view.reads - known.keys():
        known[name] = np.full(len(customer_ids), np.nan)
    for name, expression in view.expressions.items():
        known[name] = evaluate(expression, known, rows=len(customer_ids))
    return Columns(customer_ids, {name: known[name] for name in view.expressions})


def leaves_us(activity: Activity, *, features: Iterable[WindowedFeature], window_days: int) -> Ints:
    """When the first of each customer's counted events leaves its window, in microseconds; NEVER: none will."""
    leaving = [(activity.first_event_us, window_days)]
    computed = (feature for feature in features if feature.name in activity.windowed)
    leaving += [(activity.windowed[feature.name].first_us, feature.window_days) for feature in computed]
    latest = np.iinfo(np.int64).max
    moments = [np.where(first == NEVER, latest, first + days * MICROSECONDS_PER_DAY) for first, days in leaving]
    earliest = np.minimum.reduce(moments)
    return np.where(earliest == latest, NEVER, earliest)
