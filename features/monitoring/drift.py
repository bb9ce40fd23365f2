"""Drift: the distance of a day's distributions from those of the baseline week, and of the week before the day."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from features.formulas.distributions import (
    Distribution,
    largest_distance,
    largest_distance_by_chance,
    parts_of_range,
    stability_index,
    stability_index_by_chance,
)
from features.models import BaselineWeek, FeatureProfile, FeatureThresholds
from features.monitoring.profiles import DAYS_OF_A_WEEK, days_from, distribution_of, finished_days

USUAL_INDEX, USUAL_DISTANCE = 0.2, 0.1
BASELINE, LAST_WEEK = "the baseline week", "the week before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The stability index and the distance above which a feature has shifted."""

    stability_index: float = USUAL_INDEX
    largest_distance: float = USUAL_DISTANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The distance of a day from a week; `largest_distance` is None where one of them has no values.

    The index and the distance of samples this small are beyond chance above the two numbers `by_chance`.
    """

    week: str
    stability_index: float
    largest_distance: float | None
    by_chance: tuple[float, float]

    def has_shifted(self, thresholds: Thresholds) -> bool:
        """Return whether the index or the distance is above its threshold and above what chance explains."""
        index = self.stability_index > max(thresholds.stability_index, self.by_chance[0])
        distance = self.largest_distance is not None and self.largest_distance > max(
            thresholds.largest_distance, self.by_chance[1]
        )
        return index or distance


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDrift:
    """The profile of a feature on a day, and how far it is from each week that there is."""

    profile: FeatureProfile
    distribution: Distribution
    thresholds: Thresholds
    drifts: Sequence[Drift]

    def drift_from(self, week: str) -> Drift | None:
        return next((drift for drift in self.drifts if drift.week == week), None)

    @property
    def from_baseline(self) -> Drift | None:
        return self.drift_from(BASELINE)

    @property
    def from_last_week(self) -> Drift | None:
        return self.drift_from(LAST_WEEK)

    @property
    def shifted(self) -> list[Drift]:
        """Return the weeks from which the feature has shifted."""
        return [drift for drift in self.drifts if drift.has_shifted(self.thresholds)]


def drift_between(week: Distribution, day: Distribution, *, name: str) -> Drift | None:
    """Return how far a day is from a week. None where nobody was sampled in one of the two."""
    if not week.customers or not day.customers:
        return None
    reference, other = parts_of_range(week, day)
    of_everybody, of_values = (week.customers, day.customers), (max(week.count, 1), max(day.count, 1))
    return Drift(
        week=name,
        stability_index=stability_index(reference, other),
        largest_distance=largest_distance(week, day),
        by_chance=(
            stability_index_by_chance(len(reference), sizes=of_everybody),
            largest_distance_by_chance(sizes=of_values),
        ),
    )


# --- From the tables --------------------------------------------------------------------------------------------------


def newest_drifts() -> list[FeatureDrift]:
    """Return every feature's drift on the newest day, by type and name; none before the first day is done."""
    newest = finished_days().first()
    if newest is None:
        return []
    weeks = {LAST_WEEK: days_from(newest.day - timedelta(days=DAYS_OF_A_WEEK)), **baseline_days()}
    by_day = profiles_by_day({newest.day, *(day for days in weeks.values() for day in days)})
    limits = thresholds_by_name()
    today = sorted(by_day[newest.day].values(), key=lambda profile: (profile.feature_type, profile.name))
    return [
        feature_drift(profile, weeks=weeks, by_day=by_day, thresholds=limits.get(profile.name, Thresholds()))
        for profile in today
    ]


def drift_sources() -> object:
    """Return what `newest_drifts` depends on: the days that are done, the baseline week, and the thresholds."""
    days = list(finished_days().values_list("pk", flat=True)[: DAYS_OF_A_WEEK + 1])
    limits = FeatureThresholds.objects.order_by("pk").values_list("pk", "stability_index", "largest_distance")
    return days, BaselineWeek.objects.values_list("pk", flat=True).first(), list(limits)


def drifts_of(name: str, *, days: int) -> list[FeatureDrift]:
    """Return the drift of one feature on each of the last profiled `days`, oldest first."""
    newest = finished_days().first()
    if newest is None:
        return []
    since = newest.day - timedelta(days=days - 1)
    weeks = baseline_days()
    wanted = {since - timedelta(days=DAYS_OF_A_WEEK) + timedelta(days=back) for back in range(days + DAYS_OF_A_WEEK)}
    by_day = profiles_by_day(wanted.union(*weeks.values()), name=name)
    thresholds = thresholds_by_name().get(name, Thresholds())
    return [
        feature_drift(
            by_day[day][name],
            weeks={LAST_WEEK: days_from(day - timedelta(days=DAYS_OF_A_WEEK)), **weeks},
            by_day=by_day,
            thresholds=thresholds,
        )
        for day in sorted(by_day)
        if day >= since and name in by_day[day]
    ]


def feature_drift(
    profile: FeatureProfile,
    *,
    weeks: Mapping[str, Sequence[date]],
    by_day: Mapping[date, Mapping[str, FeatureProfile]],
    thresholds: Thresholds,
) -> FeatureDrift:
    distribution = distribution_of(profile)
    found = [
        drift_between(
            Distribution.together(
                [
                    distribution_of(by_day[day][profile.name])
                    for day in days
                    if day != profile.day.day and profile.name in by_day.get(day, {})
                ]
            ),
            distribution,
            name=week,
        )
        for week, days in weeks.items()
    ]
    return FeatureDrift(
        profile=profile,
        distribution=distribution,
        thresholds=thresholds,
        drifts=[drift for drift in found if drift is not None],
    )


def baseline_days() -> dict[str, list[date]]:
    """Return the days of the baseline week under its name; nothing where nobody has chosen one."""
    baseline = BaselineWeek.objects.first()
    return {} if baseline is None else {BASELINE: days_from(baseline.first_day)}


def profiles_by_day(days: Iterable[date], *, name: str | None = None) -> dict[date, dict[str, FeatureProfile]]:
    """Return day → name → profile, of all features or of one."""
    rows = FeatureProfile.objects.filter(day__in=finished_days().filter(day__in=days)).select_related("day")
    found: defaultdict[date, dict[str, FeatureProfile]] = defaultdict(dict)
    for row in rows if name is None else rows.filter(name=name):
        found[row.day.day][row.name] = row
    return dict(found)


def thresholds_by_name() -> dict[str, Thresholds]:
    return {
        row.name: Thresholds(stability_index=row.stability_index, largest_distance=row.largest_distance)
        for row in FeatureThresholds.objects.all()
    }
