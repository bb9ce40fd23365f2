"""The geometry of the weight pages' plots: figures in, numbers for inline SVG out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.models import ShadowDay

# The size of the drawing area, in SVG units; y runs downwards. The templates' viewBox adds the margins.
PLOT_WIDTH, PLOT_HEIGHT = 400.0, 160.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One part of the score's range, with a bar for each of the two sides."""

    low: float
    high: float
    before: int
    after: int
    x: float
    width: float
    before_height: float
    after_height: float

    @property
    def before_y(self) -> float:
        return PLOT_HEIGHT - self.before_height

    @property
    def after_y(self) -> float:
        return PLOT_HEIGHT - self.after_height

    @property
    def after_x(self) -> float:
        return self.x + self.width


def score_histogram(before: Sequence[int], after: Sequence[int]) -> list[Bin]:
    """Return bars side by side, the tallest as high as the drawing area."""
    tallest = max(*before, *after, 1)
    step = PLOT_WIDTH / len(before)
    return [
        Bin(
            low=number / len(before), high=(number + 1) / len(before),
            before=old, after=new,
            x=round(number * step + 0.1 * step, 2), width=round(0.4 * step, 2),
            before_height=round(PLOT_HEIGHT * old / tallest, 2), after_height=round(PLOT_HEIGHT * new / tallest, 2),
        )
        for number, (old, new) in enumerate(zip(before, after, strict=True))
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """A value with its confidence interval, in SVG units."""

    x: float
    y: float
    low_y: float
    high_y: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One set's points, joined by a line in the order given."""

    name: str
    kind: str
    points: list[Whisker]

    @property
    def line(self) -> str:
        return " ".join(f"{point.x},{point.y}" for point in self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Series in one drawing area; `ticks` are the labels of the y axis with their y."""

    series: list[Series]
    ticks: list[tuple[str, float]]
    low_x: str
    high_x: str


def lift_plot(active: Sequence[Mapping[str, Any]], tried: Sequence[Mapping[str, Any]]) -> Plot:
    """Return the plot of lift by decile, the highest scores first."""
    top = max(max(row["lift"]["high"] for row in rows) for rows in (active, tried))
    places = [(number + 0.5) / len(active) for number in range(len(active))]
    return Plot(
        series=[
            series("active", kind="before", xs=places, estimates=[row["lift"] for row in active], top=top, shift=-4),
            series("tried", kind="after", xs=places, estimates=[row["lift"] for row in tried], top=top, shift=4),
        ],
        ticks=axis_ticks(top, suffix="×"),
        low_x="highest scores",
        high_x="lowest scores",
    )


def calibration_plot(active: Sequence[Mapping[str, Any]], tried: Sequence[Mapping[str, Any]]) -> Plot:
    """Return the plot of each decile's purchase rate over its mean score."""
    top = max(max(row["rate"]["high"] for row in rows) for rows in (active, tried))

    def line(name: str, kind: str, rows: Sequence[Mapping[str, Any]]) -> Series:
        xs = [row["mean_score"] for row in rows]
        return series(name, kind=kind, xs=xs, estimates=[row["rate"] for row in rows], top=top)

    return Plot(
        series=[line("active", "before", active), line("tried", "after", tried)],
        ticks=axis_ticks(100 * top, suffix=" %"),
        low_x="score 0",
        high_x="score 1",
    )


def series(
    name: str, *, kind: str, xs: Sequence[float], estimates: Sequence[Mapping[str, float]], top: float, shift: float = 0
) -> Series:
    """Return a series with points at x in [0, 1] and y in [0, top].

    `shift`, in SVG units, moves it aside so that its intervals do not cover those of another series.
    """

    def y(value: float) -> float:
        return round(PLOT_HEIGHT * (1 - value / top), 2)

    points = [
        Whisker(
            x=round(PLOT_WIDTH * x + shift, 2),
            y=y(estimate["value"]),
            low_y=y(estimate["low"]),
            high_y=y(estimate["high"]),
            words=f"{estimate['value']:.3f}, 95 % interval {estimate['low']:.3f} to {estimate['high']:.3f}",
        )
        for x, estimate in zip(xs, estimates, strict=True)
    ]
    return Series(name=name, kind=kind, points=points)


def axis_ticks(top: float, *, suffix: str) -> list[tuple[str, float]]:
    """Return labels at the top, the middle and the bottom of the y axis, with their y."""
    return [(f"{top * share:.1f}{suffix}", PLOT_HEIGHT * (1 - share)) for share in (1.0, 0.5, 0.0)]


def shadow_plot(days: Sequence[ShadowDay]) -> Plot:
    """Return the plot of the mean scores of both sets over the days."""
    top = max(max(day.mean_active, day.mean_shadow) for day in days) or 1.0
    places = [(number + 0.5) / len(days) for number in range(len(days))]

    def line(name: str, kind: str, means: list[float]) -> Series:
        exact = [{"value": mean, "low": mean, "high": mean} for mean in means]
        return series(name, kind=kind, xs=places, estimates=exact, top=top)

    return Plot(
        series=[
            line("active", "before", [day.mean_active for day in days]),
            line("shadow", "after", [day.mean_shadow for day in days]),
        ],
        ticks=[(f"{top * share:.3f}", PLOT_HEIGHT * (1 - share)) for share in (1.0, 0.5, 0.0)],
        low_x=f"{days[0].day:%-d %b %Y}",
        high_x=f"{days[-1].day:%-d %b %Y}",
    )
