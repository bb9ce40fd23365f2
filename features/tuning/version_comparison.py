"""Comparison of two versions of one type, on the current values of a sample of customers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featurehub.lib.batched import batched
from features.formulas.activity import Floats
from features.formulas.values import Columns
from features.formulas.view import FeatureView
from features.monitoring.coverage import sample_customers
from features.online.publish import values_of_views
from features.tuning.histograms import HistogramBar, histograms
from features.tuning.statistics import rank_correlation

CUSTOMERS = 10_000
CUSTOMERS_PER_QUERY = 2_000
DIFFERING_SHOWN = 20
# Values that differ by no more than this, absolute or relative, are equal but for rounding.
VALUE_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSide:
    """The values of a feature in one version, over the sampled customers that have one.

    The histograms leave its `zeros` out.
    """

    with_value: int
    zeros: int
    mean: float | None
    median: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferingCustomer:
    """A customer whose value differs between the two versions."""

    customer_id: str
    left: float
    right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A feature that both versions have, compared on the `both` customers that have a value in each.

    `left_only` and `right_only` customers have a value in one version. `differ` is the share of customers, 0 to 1,
    whose values differ; it and the correlations are None where they are not defined. `movers` differ most.
    """

    name: str
    left: FeatureSide
    right: FeatureSide
    both: int
    left_only: int
    right_only: int
    pearson: float | None
    spearman: float | None
    differ: float | None
    histogram: Sequence[tuple[HistogramBar, HistogramBar]]
    movers: Sequence[DifferingCustomer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """A feature that only one of the versions has."""

    name: str
    version: str
    side: FeatureSide
    histogram: Sequence[HistogramBar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The comparison over `customers` sampled customers; the features that differ most come first."""

    customers: int
    compared: Sequence[Compared]
    alone: Sequence[Alone]


def compare_versions(left: FeatureView, right: FeatureView) -> Comparison | None:
    """Return the comparison of two readable versions of a type; None where no customer is known."""
    customer_ids = sample_customers(CUSTOMERS)
    if not customer_ids:
        return None
    values = columns_of((left, right), customer_ids=customer_ids)
    shared = [name for name in left.names if name in right.names]
    rows = [
        compare_feature(name, customer_ids=customer_ids, left=values[left.key][name], right=values[right.key][name])
        for name in shared
    ]
    return Comparison(
        customers=len(customer_ids),
        compared=sorted(rows, key=lambda row: -(row.differ or 0.0)),
        alone=[
            alone(name, version=view.number, values=values[view.key][name])
            for view in (left, right)
            for name in view.names
            if name not in shared
        ],
    )


def columns_of(
    views: Sequence[FeatureView], *, customer_ids: Sequence[str]
) -> dict[tuple[str, str], dict[str, Floats]]:
    """Return a column for each name of each version (type, number); NaN where a customer has no value."""
    parts: dict[tuple[str, str], list[Columns]] = {view.key: [] for view in views}
    for chunk in batched(customer_ids, CUSTOMERS_PER_QUERY):
        by_key = {view.key: held.columns for view, held in values_of_views(chunk).items()}
        for view in views:
            nothing = Columns([], dict.fromkeys(view.names, np.array([])))
            parts[view.key].append(by_key.get(view.key, nothing).of(chunk))
    return {
        view.key: {name: np.concatenate([[], *(part.by_name[name] for part in parts[view.key])]) for name in view.names}
        for view in views
    }


def compare_feature(name: str, *, customer_ids: Sequence[str], left: Floats, right: Floats) -> Compared:
    """Return the comparison of a feature that both versions have, from its columns in each."""
    in_both = np.flatnonzero(~np.isnan(left) & ~np.isnan(right))
    old, new = left[in_both], right[in_both]
    differs = ~np.isclose(old, new, rtol=VALUE_TOLERANCE, atol=VALUE_TOLERANCE)
    largest = np.argsort(-np.abs(new - old), kind="stable")[:DIFFERING_SHOWN]
    bars = histograms(shown(old), shown(new))
    return Compared(
        name=name,
        left=feature_side(old),
        right=feature_side(new),
        both=len(in_both),
        left_only=len(present(left)) - len(in_both),
        right_only=len(present(right)) - len(in_both),
        pearson=correlation(old, new),
        spearman=rank_correlation(old, new),
        differ=float(differs.mean()) if len(in_both) else None,
        histogram=list(zip(*bars, strict=True)),
        movers=[
            DifferingCustomer(customer_id=customer_ids[in_both[place]], left=float(old[place]), right=float(new[place]))
            for place in largest[differs[largest]].tolist()
        ],
    )


def alone(name: str, *, version: str, values: Floats) -> Alone:
    """Return the figures of a feature that only this version has."""
    return Alone(name=name, version=version, side=feature_side(values), histogram=histograms(shown(values))[0])


def feature_side(values: Floats) -> FeatureSide:
    """Return the figures of a column of values, NaN where there is none."""
    known = present(values)
    if not len(known):
        return FeatureSide(with_value=0, zeros=0, mean=None, median=None)
    zeros = int(np.count_nonzero(known == 0))
    return FeatureSide(with_value=len(known), zeros=zeros, mean=float(known.mean()), median=float(np.median(known)))


def present(values: Floats) -> Floats:
    """Return the values that are not NaN."""
    return values[~np.isnan(values)]


def shown(values: Floats) -> Floats:
    """Return the values that a histogram shows: neither NaN nor 0."""
    known = present(values)
    nonzero: Floats = known[known != 0]
    return nonzero


def correlation(first: Floats, second: Floats) -> float | None:
    """Return Pearson's r; None where one column is constant or empty, or its squares are beyond a double."""
    if len(first) < 2 or first.min() == first.max() or second.min() == second.max():
        return None
    with np.errstate(all="ignore"):
        found = float(np.corrcoef(first, second)[0, 1])
    return found if math.isfinite(found) else None
