"""The charts of the weight pages: scores, movers and segments under two sets, backtests, and sets in shadow."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any

from django.urls import reverse

from featurehub.admin.chart import Axis, Chart, ChartMark, ChartSeries, ReferenceLine
from features.admin.histogram_chart import CUSTOMERS_AXIS
from features.models import ShadowDay
from features.tuning.score_preview import ScoreMover, ScorePreview, Segment

MEAN_SCORE_AXIS = Axis(label="Mean score", decimals=3)
# Each tenth of the customers by score, as the x axis of a backtest names it.
TENTH_LABELS = ("1 (highest)", *(str(number) for number in range(2, 10)), "10 (lowest)")


def score_histogram(figures: ScorePreview, *, before: str, after: str) -> Chart:
    """Return the scores of both sides beside each other, with a mark at the threshold."""
    number = len(figures.before.histogram)
    at = [(part + 0.5) / number for part in range(number)]
    return Chart(
        kind="bar",
        title="Scores of the customers",
        x=Axis(label="Score", maximum=1),
        y=CUSTOMERS_AXIS,
        labels=[f"{part / number:.2f} to {(part + 1) / number:.2f}" for part in range(number)],
        series=[
            ChartSeries(name=before, role="before", values=figures.before.histogram, at=at),
            ChartSeries(name=after, role="after", values=figures.after.histogram, at=at),
        ],
        marks=[ChartMark(at=figures.threshold, label=f"threshold {figures.threshold:.2f}")],
    )


def movers_chart(movers: Sequence[ScoreMover], *, before: str, after: str) -> Chart | None:
    """Return the customers whose scores change most, each as a dumbbell that leads to them; None without any."""
    if not movers:
        return None
    return Chart(
        kind="dumbbell",
        title="The biggest movers",
        x=Axis(label="Customer"),
        y=Axis(label="Score", decimals=3, maximum=1),
        labels=[mover.customer_id for mover in movers],
        links=[reverse("admin:features_customer_change", args=[mover.customer_id]) for mover in movers],
        series=[
            ChartSeries(name=before, role="before", values=[mover.before for mover in movers]),
            ChartSeries(name=after, role="after", values=[mover.after for mover in movers]),
        ],
        notes=[reasons_in_words(mover) for mover in movers],
    )


def reasons_in_words(mover: ScoreMover) -> str:
    reasons = [
        f"{reason.count:,} × {reason.event_type.replace('_', ' ')} {'+' if reason.change > 0 else '−'}"
        f"{abs(reason.change):.3f}"
        for reason in mover.reasons
    ]
    return ", ".join([*reasons, "part of it capped at 1"] if mover.clamp_hides else reasons)


def segments_chart(rows: Sequence[Segment], *, title: str, before: str, after: str) -> Chart:
    """Return the mean scores of parts of the customers as bars."""
    return Chart(
        kind="horizontal",
        title=title,
        x=Axis(label="Customers"),
        y=MEAN_SCORE_AXIS,
        labels=[row.name for row in rows],
        series=[
            ChartSeries(name=before, role="before", values=[row.before for row in rows]),
            ChartSeries(name=after, role="after", values=[row.after for row in rows]),
        ],
        notes=["1 customer" if row.customers == 1 else f"{row.customers:,} customers" for row in rows],
    )


def lift_chart(active: Sequence[Mapping[str, Any]], tried: Sequence[Mapping[str, Any]]) -> Chart:
    """Return the lift of each tenth of the customers, with a line at 1×."""
    return Chart(
        kind="points",
        title="Lift by tenth of the customers",
        x=Axis(label="Tenth of the customers by score"),
        y=Axis(label="Lift", unit="×", decimals=2),
        labels=TENTH_LABELS[: len(active)],
        series=[
            estimates("Active", role="before", rows=[row["lift"] for row in active]),
            estimates("Tried", role="after", rows=[row["lift"] for row in tried]),
        ],
        lines=[ReferenceLine(value=1, label="1×: the average")],
    )


def calibration_chart(active: Sequence[Mapping[str, Any]], tried: Sequence[Mapping[str, Any]]) -> Chart:
    """Return the purchase rate of each tenth of the customers over its mean score."""

    def side(name: str, role: str, rows: Sequence[Mapping[str, Any]]) -> ChartSeries:
        rates = [{end: 100 * row["rate"][end] for end in ("value", "low", "high")} for row in rows]
        return estimates(name, role=role, rows=rates, at=[row["mean_score"] for row in rows])

    return Chart(
        kind="points",
        title="Purchases by score",
        x=Axis(label="Mean score of the tenth", maximum=1),
        y=Axis(label="Purchased", unit="%", decimals=1),
        labels=[f"Tenth {name}" for name in TENTH_LABELS[: len(active)]],
        series=[side("Active", "before", active), side("Tried", "after", tried)],
    )


def estimates(name: str, *, role: str, rows: Sequence[Mapping[str, float]], at: Sequence[float] = ()) -> ChartSeries:
    """Return a series of values with their 95 % intervals."""
    return ChartSeries(
        name=name,
        role=role,
        values=[row["value"] for row in rows],
        lows=[row["low"] for row in rows],
        highs=[row["high"] for row in rows],
        at=at,
    )


def shadow_chart(days: Sequence[ShadowDay]) -> Chart:
    """Return the mean scores of both sets over the days."""
    return Chart(
        kind="points",
        title="Mean scores over the days",
        x=Axis(label="Day"),
        y=MEAN_SCORE_AXIS,
        labels=[datetime.combine(day.day, time(), tzinfo=UTC) for day in days],
        series=[
            ChartSeries(name="Active", role="before", values=[day.mean_active for day in days]),
            ChartSeries(name="These weights", role="after", values=[day.mean_shadow for day in days]),
        ],
    )
