"""The charts of value monitoring: a feature's quantiles, gaps and drift day by day, and events by type."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time

import numpy as np

from featurehub.admin.chart import Axis, Chart, ChartMark, ChartSeries, ReferenceLine
from features.admin.event_series import event_series
from features.models import FeatureType, FeatureVersion, WeightSet
from features.monitoring.drift import BASELINE, LAST_WEEK, Drift, FeatureDrift

DRAWN_QUANTILES = np.array([0.05, 0.5, 0.95])
QUANTILE_NAMES = ("5th percentile", "Median", "95th percentile")
WEEK_ROLES = {BASELINE: "before", LAST_WEEK: "after"}


def day_moment(day: date) -> datetime:
    """Return a day as a label of a time axis."""
    return datetime.combine(day, time(), tzinfo=UTC)


def feature_charts(drifts: Sequence[FeatureDrift], *, unit: str) -> list[Chart]:
    """Return the charts of one feature, its days oldest first: values, missing values, and two of drift.

    Where no day has a week to be compared with, there is no drift.
    """
    labels = [day_moment(each.profile.day.day) for each in drifts]
    marks = marks_between(labels, drift=drifts[-1])
    charts = [
        Chart(
            kind="line",
            title="Values",
            labels=labels,
            series=drift_quantiles(drifts),
            y=Axis(label="Value", unit=unit, begins_at_zero=False),
            marks=marks,
        ),
        Chart(
            kind="line",
            title="Customers without a value",
            labels=labels,
            series=[ChartSeries(name="Missing", values=[100 * each.distribution.missing_share for each in drifts])],
            y=Axis(label="Share", unit="%"),
            marks=marks,
        ),
    ]
    if not any(each.drifts for each in drifts):
        return charts
    limits = drifts[-1].thresholds
    return [
        *charts,
        drift_chart(drifts, title="Population stability index", line=limits.stability_index, marks=marks),
        drift_chart(drifts, title="Largest distance (Kolmogorov-Smirnov)", line=limits.largest_distance, marks=marks),
    ]


def drift_quantiles(drifts: Sequence[FeatureDrift]) -> list[ChartSeries]:
    columns = [each.distribution.quantiles(DRAWN_QUANTILES) if each.distribution.count else None for each in drifts]
    quantiles = [
        ChartSeries(name=name, values=[None if found is None else float(found[place]) for found in columns])
        for place, name in enumerate(QUANTILE_NAMES)
    ]
    return [*quantiles, ChartSeries(name="Mean", values=[each.profile.mean for each in drifts], role="before")]


def drift_chart(drifts: Sequence[FeatureDrift], *, title: str, line: float, marks: Sequence[ChartMark]) -> Chart:
    """Return the chart of the index, or of the distance, with the threshold as a line."""
    is_index = title.startswith("Population")
    weeks = [week for week in WEEK_ROLES if any(each.drift_from(week) for each in drifts)]

    def figure(drift: Drift | None) -> float | None:
        if drift is None:
            return None
        return drift.stability_index if is_index else drift.largest_distance

    return Chart(
        kind="line",
        title=title,
        labels=[day_moment(each.profile.day.day) for each in drifts],
        series=[
            ChartSeries(
                name=f"From {week}", values=[figure(each.drift_from(week)) for each in drifts], role=WEEK_ROLES[week]
            )
            for week in weeks
        ],
        y=Axis(label="Index" if is_index else "Distance"),
        lines=[ReferenceLine(value=line, label="Alert above")],
        marks=marks,
    )


def marks_between(labels: Sequence[datetime], *, drift: FeatureDrift) -> list[ChartMark]:
    """Return the moments at which a version of the feature's type went live, or weights were activated."""
    feature_type = drift.profile.feature_type
    between = {"gte": labels[0], "lte": labels[-1]}
    versions = FeatureVersion.objects.filter(
        feature_type=feature_type, **{f"live_from__{key}": moment for key, moment in between.items()}
    )
    marks = [ChartMark(at=row.live_from, label=f"{row.number} live") for row in versions if row.live_from]
    if feature_type in (FeatureType.BEHAVIORAL, FeatureType.DERIVED):
        sets = WeightSet.objects.filter(**{f"activated_at__{key}": moment for key, moment in between.items()})
        marks += [ChartMark(at=row.activated_at, label=f"weights #{row.pk}") for row in sets if row.activated_at]
    return marks


def volume_chart(counts: Mapping[str, Mapping[datetime, int]]) -> Chart | None:
    """Return the events of each whole day by type; None where no day is counted."""
    by_type: dict[str, Counter[date]] = {name: Counter() for name in counts}
    for name, hours in counts.items():
        for hour, events in hours.items():
            by_type[name][hour.date()] += events
    days = sorted(set().union(*by_type.values()))[1:-1]  # the first and the last are not whole
    if not days:
        return None
    return Chart(
        kind="stacked",
        title="Events by day",
        labels=[day_moment(day) for day in days],
        series=event_series(by_type, places=days),
        y=Axis(label="Events"),
    )
