"""The values of feature views as columns: computed from activity, moved by time, derived from other values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

import numpy as np
import numpy.typing as npt
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
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


def base_of(rows: Sequence[Latest], *, view: FeatureView, inputs: Iterable[str] = ()) -> Base:
    values = [row.features for row in rows]
    return Base(
        row_ids=np.array([row.id for row in rows], dtype=np.int64),
        since_us=np.array([row.since_us for row in rows], dtype=np.int64),
        last_purchase_us=np.array([row.metadata["activity"]["last_purchase_us"] for row in rows], dtype=np.int64),
        decaying={feature.name: column(values, feature.name) for feature in view.decaying},
        inputs={name: column(values, name) for name in inputs},
    )


def moved(base: Base, *, view: FeatureView, until_us: int | Ints) -> dict[str, Floats]:
    """What time alone has made of a behavioral version's values, by one moment or a moment for each: name → column."""
    values = {
        feature.name: decayed(feature, base.decaying[feature.name], elapsed_us=until_us - base.since_us)
        for feature in view.decaying
    }
    if RECENCY in view.formulas:
        values[RECENCY] = recency_score(base.last_purchase_us, as_of_us=until_us, window_days=settings.WINDOW_DAYS)
    return values


def moved_to(until: datetime, rows: Sequence[Latest], *, view: FeatureView) -> dict[str, Floats]:
    """What time alone has made of a behavioral version's rows: name → column."""
    return moved(base_of(rows, view=view), view=view, until_us=microseconds(until))


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
