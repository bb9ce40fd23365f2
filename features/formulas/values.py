"""Columns of feature values: computed from activity, or derived from other values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from featurehub.lib.clock import microseconds
from features.formulas.activity import MICROSECONDS_PER_DAY, NEVER, Activity, Floats, Ints
from features.formulas.behavioral import Weights, behavioral_features
from features.formulas.expressions import evaluate
from features.formulas.view import FeatureView
from features.formulas.windowed import WindowedFeature


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


def behavioral_values(
    view: FeatureView, activity: Activity, *, weights: Weights, as_of: datetime, window_days: int
) -> Columns:
    """A behavioral version's values of this activity under its weights."""
    computed = behavioral_features(activity, weights=weights, as_of_us=microseconds(as_of), window_days=window_days)
    by_name = {name: computed[name] for name in view.formulas}
    return Columns(activity.customer_ids, by_name | {name: activity.windowed[name].value for name in view.windowed})


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
    return Columns(customer_ids, evaluated(view, known, rows=len(customer_ids)))


def evaluated(view: FeatureView, known: Mapping[str, Floats], *, rows: int) -> dict[str, Floats]:
    """A derived version's values, of columns of length `rows` for all names that it reads."""
    values = dict(known)
    for name, expression in view.expressions.items():
        values[name] = evaluate(expression, values, rows=rows)
    return {name: values[name] for name in view.expressions}


def leaves_us(activity: Activity, *, features: Iterable[WindowedFeature], window_days: int) -> Ints:
    """When the first of each customer's counted events leaves its window, in microseconds; NEVER: none will."""
    leaving = [(activity.first_event_us, window_days)]
    computed = (feature for feature in features if feature.name in activity.windowed)
    leaving += [(activity.windowed[feature.name].first_us, feature.window_days) for feature in computed]
    latest = np.iinfo(np.int64).max
    moments = [np.where(first == NEVER, latest, first + days * MICROSECONDS_PER_DAY) for first, days in leaving]
    earliest = np.minimum.reduce(moments)
    return np.where(earliest == latest, NEVER, earliest)
