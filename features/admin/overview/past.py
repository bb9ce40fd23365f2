"""Read the time series for the charts of the Overview: the last hour by minute, the last 30 days by hour."""

from collections.abc import Mapping
from datetime import datetime

from featurehub.lib.traffic import Counts
from features.monitoring.series import Resolution, by_label, points_of, steps_until, sum_of

CHART_MINUTES = 60
CHART_DAYS = 30


def minutes_of(now: datetime) -> list[datetime]:
    """Return the minutes of the last hour, the current one last."""
    return steps_until(now, number=CHART_MINUTES, resolution=Resolution.MINUTE)


def counted_each_minute(
    name: str, *, place: int, now: datetime
) -> tuple[list[datetime], Mapping[str, Mapping[datetime, int]]]:
    """Return the minutes of the last hour, and what was counted in them by one of the labels."""
    minutes = minutes_of(now)
    points = points_of(name, resolution=Resolution.MINUTE, since=minutes[0], until=now)
    return minutes, by_label(points, place)


def tallies_of(name: str, *, now: datetime) -> tuple[list[datetime], list[Counts]]:
    """Return the minutes of the last hour, and the sum of all labels in each."""
    minutes = minutes_of(now)
    points = points_of(name, resolution=Resolution.MINUTE, since=minutes[0], until=now).values()
    return minutes, [sum_of(each[minute] for each in points if minute in each) for minute in minutes]


def measured(name: str, *, now: datetime, resolution: str) -> tuple[list[datetime], list[float | None]]:
    """Return the minutes of the last hour or the hours of the last days, and the mean of what was measured in each.

    Hours before the first measurement are left out, and None stands where nothing was measured.
    """
    number = CHART_MINUTES if resolution == Resolution.MINUTE else CHART_DAYS * 24
    moments = steps_until(now, number=number, resolution=resolution)
    found = points_of(name, resolution=resolution, since=moments[0], until=now).get((), {})
    if resolution == Resolution.HOUR:
        first = min(found, default=moments[-1])
        moments = [moment for moment in moments if moment >= first]
    values = [found[moment].total / found[moment].count if moment in found else None for moment in moments]
    return moments, values
