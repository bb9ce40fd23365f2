"""The geometry of the charts on a customer's page: numbers in, percentages out; the templates draw them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any

CLAMP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSegment:
    """One event type's part of the bar; `width` in percent of the bar's length, `is_cut` by the clamp."""

    event_type: str
    contribution: float
    width: float
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContributionBar:
    """The contributions side by side. `clamp` is where 1 is, and `score` where the score ends, in percent."""

    segments: Sequence[BarSegment]
    clamp: float
    score: float
    is_clamped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value that held from `moment` on, and the weight set it was computed under."""

    moment: datetime
    value: float
    weight_set: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The moment from which another weight set is active; `x` in percent."""

    x: float
    weight_set: int | None
    moment: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A step line in a box of 100 × 100, y downwards: `path` for SVG, `marks` for changes of the weight set."""

    path: str
    marks: Sequence[Mark]
    since: datetime
    until: datetime
    last: float


def stacked_bar(contributions: Sequence[Mapping[str, Any]], *, unclamped: float) -> ContributionBar:
    """Return the contributions side by side.

    The bar is as long as 1, or as the sum where that is more, so that the part beyond the clamp is visible.
    """
    length = max(CLAMP, unclamped)
    parts = [row for row in contributions if row["contribution"] > 0]
    ends = accumulate(row["contribution"] for row in parts)
    return ContributionBar(
        segments=[
            BarSegment(
                event_type=row["event_type"],
                contribution=row["contribution"],
                width=round(100 * row["contribution"] / length, 3),
                is_cut=end > CLAMP,
            )
            for row, end in zip(parts, ends, strict=True)
        ],
        clamp=round(100 * CLAMP / length, 3),
        score=round(100 * min(unclamped, CLAMP) / length, 3),
        is_clamped=unclamped > CLAMP,
    )


def step_line(points: Sequence[Point], *, until: datetime) -> Line | None:
    """Return a line through values in [0, 1], oldest first, each held until the next; None without points."""
    if not points:
        return None
    since = points[0].moment
    seconds = max((until - since).total_seconds(), 1.0)

    def x(moment: datetime) -> float:
        return round(100 * (moment - since).total_seconds() / seconds, 2)

    def y(value: float) -> float:
        return round(100 * (1 - value), 2)

    steps = [f"H{x(point.moment)}V{y(point.value)}" for point in points[1:]]
    return Line(
        path=f"M0 {y(points[0].value)}{''.join(steps)}H100",
        marks=[
            Mark(x=x(point.moment), weight_set=point.weight_set, moment=point.moment)
            for before, point in pairwise(points)
            if point.weight_set != before.weight_set
        ],
        since=since,
        until=until,
        last=points[-1].value,
    )
