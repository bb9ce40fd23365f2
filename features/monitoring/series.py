"""Time series in PostgreSQL: points that many processes add to, by minute for two days and by hour for 35.

What was counted ever has a point of its own, for Prometheus: its counters never go down.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import orjson
from django.db import connection
from django.db.models import Q

from featurehub.lib.clock import EPOCH
from featurehub.lib.traffic import Counted, Counts
from features.models import SeriesPoint

Resolution = SeriesPoint.Resolution
KEPT_FOR = {Resolution.MINUTE: timedelta(days=2), Resolution.HOUR: timedelta(days=35)}
STEP = {Resolution.MINUTE: timedelta(minutes=1), Resolution.HOUR: timedelta(hours=1)}
# Resolution, beginning, name, labels.
PointKey: TypeAlias = tuple[str, datetime, str, tuple[str, ...]]

# In the order of the index, so that two writers wait for each other and never deadlock.
ADD = """
insert into features_seriespoint as held (resolution, name, start, labels, count, total, buckets)
select resolution, name, start, labels, count, total, buckets
from jsonb_to_recordset(%s::jsonb) as point (
    resolution text, name text, start timestamptz, labels text[], count bigint, total double precision, buckets bigint[]
)
order by resolution, name, start, labels
on conflict (resolution, name, start, labels) do update set
    count = held.count + excluded.count,
    total = held.total + excluded.total,
    buckets = (
        select coalesce(array_agg(coalesce(before, 0) + coalesce(added, 0) order by place), '{}')
        from unnest(held.buckets, excluded.buckets) with ordinality as pair (before, added, place)
    )
"""


@dataclass(slots=True)
class Points:
    """Points that are to be added: each once, however many moments of it were counted."""

    now: datetime
    held: dict[PointKey, Counts] = field(default_factory=lambda: defaultdict(Counts))

    def add(
        self, counted: Counted, tally: Counts, *, at: datetime, is_ever: bool = True, is_charted: bool = True
    ) -> None:
        """Add a tally of one moment to its minute, its hour and, unless it is a measurement, to what was counted ever.

        Points that are past their retention are left out, and those of minutes and hours where it is not charted.
        """
        name, labels = counted
        for resolution, lifetime in KEPT_FOR.items():
            if is_charted and at > self.now - lifetime:
                self.held[resolution, beginning(at, resolution), name, labels].add(tally)
        if is_ever:
            self.held[Resolution.EVER, EPOCH, name, labels].add(tally)

    def write(self) -> None:
        """Add the points to those in PostgreSQL, in one statement."""
        if not self.held:
            return
        rows = [
            {
                "resolution": resolution, "start": start, "name": name, "labels": labels,
                "count": tally.count, "total": tally.total, "buckets": tally.buckets,
            }
            for (resolution, start, name, labels), tally in self.held.items()
        ]  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute(ADD, [orjson.dumps(rows).decode()])


def beginning(moment: datetime, resolution: str) -> datetime:
    """Return the beginning of the moment's minute or hour, in UTC."""
    whole = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return whole.replace(minute=0) if resolution == Resolution.HOUR else whole


def points_of(
    name: str, *, resolution: str, since: datetime, until: datetime
) -> dict[tuple[str, ...], dict[datetime, SeriesPoint]]:
    """Return labels → beginning → point, of the points of a name that begin from `since` on and until `until`."""
    found: dict[tuple[str, ...], dict[datetime, SeriesPoint]] = defaultdict(dict)
    for point in SeriesPoint.objects.filter(
        resolution=resolution, name=name, start__gte=beginning(since, resolution), start__lte=until
    ):
        found[tuple(point.labels)][point.start] = point
    return found


def last_point(name: str) -> datetime | None:
    """Return the beginning of the newest minute with a point of this name; None where none is kept."""
    points = SeriesPoint.objects.filter(resolution=Resolution.MINUTE, name=name)
    return points.order_by("-start").values_list("start", flat=True).first()


def counted_ever(*names: str) -> dict[str, dict[tuple[str, ...], SeriesPoint]]:
    """Return name → labels → what was counted since the first start. One query."""
    found: dict[str, dict[tuple[str, ...], SeriesPoint]] = {name: {} for name in names}
    for row in SeriesPoint.objects.filter(resolution=Resolution.EVER, name__in=names, start=EPOCH):
        found[row.name][tuple(row.labels)] = row
    return found


def steps_until(now: datetime, *, number: int, resolution: str) -> list[datetime]:
    """Return the beginnings of the last `number` minutes or hours, the current one last."""
    last = beginning(now, resolution)
    return [last - STEP[Resolution(resolution)] * back for back in reversed(range(number))]


def sum_of(points: Iterable[SeriesPoint]) -> Counts:
    """Return the sum of points as one tally."""
    whole = Counts()
    for point in points:
        whole.add(Counts(point.count, point.total, list(point.buckets)))
    return whole


def forget_old_points(*, now: datetime) -> int:
    """Delete the points past their retention, and return how many."""
    old = Q()
    for resolution, lifetime in KEPT_FOR.items():
        old |= Q(resolution=resolution, start__lt=now - lifetime)
    return SeriesPoint.objects.filter(old)._raw_delete("default")


def by_label(
    points: Mapping[tuple[str, ...], Mapping[datetime, SeriesPoint]], place: int
) -> dict[str, dict[datetime, int]]:
    """Return one label → beginning → count, the other labels added up."""
    found: dict[str, dict[datetime, int]] = defaultdict(lambda: defaultdict(int))
    for labels, over_time in points.items():
        for start, point in over_time.items():
            found[labels[place]][start] += point.count
    return found


def quantile(share: float, *, buckets: list[int], bounds: tuple[float, ...]) -> float | None:
    """Return the value below which this share of a histogram's values lies; None where it has no values.

    Between the bounds of a bucket the values are taken to be spread evenly. Above the last bound, that bound.
    """
    wanted, below = share * sum(buckets), 0
    if not wanted:
        return None
    edges = (0.0, *bounds, bounds[-1])
    for number, held in enumerate(buckets):
        if held and below + held >= wanted:
            return edges[number] + (edges[number + 1] - edges[number]) * (wanted - below) / held
        below += held
    return bounds[-1]
