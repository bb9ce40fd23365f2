"""The charts of a customer's page: what makes up the score, and the score over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from featurehub.admin.chart import Axis, Chart, ChartMark, ChartSeries, ReferenceLine
from features.admin.event_series import role_of

CAP = 1.0
SCORE_AXIS = Axis(label="Engagement score", decimals=3, maximum=CAP)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePoint:
    """A score that held from `moment` on, and the weight set it was computed under."""

    moment: datetime
    value: float
    weight_set: int | None


def contributions_chart(contributions: Sequence[Mapping[str, Any]], *, score: float) -> Chart:
    """Return the contributions of the event types as steps up to the score, with a line at the cap."""
    parts = [row for row in contributions if row["contribution"] > 0]
    return Chart(
        kind="waterfall",
        title="What the score is made of",
        x=Axis(label="Event type"),
        y=Axis(label="Score", decimals=3),
        labels=[*(row["event_type"].replace("_", " ") for row in parts), "score"],
        series=[
            ChartSeries(
                name="Contribution",
                values=[*(row["contribution"] for row in parts), score],
                roles=[*(role_of(row["event_type"]) for row in parts), "total"],
            )
        ],
        lines=[ReferenceLine(value=CAP, label="capped at 1")],
    )


def score_chart(points: Sequence[ScorePoint], *, until: datetime) -> Chart | None:
    """Return the steps of scores, oldest first, each held until the next; None without points."""
    if not points:
        return None
    ends = [*points, ScorePoint(moment=until, value=points[-1].value, weight_set=points[-1].weight_set)]
    return Chart(
        kind="step",
        title="Score over time",
        x=Axis(label="From (UTC)"),
        y=SCORE_AXIS,
        labels=[point.moment for point in ends],
        series=[ChartSeries(name="Score", values=[point.value for point in ends])],
        notes=[*(f"weights #{point.weight_set}" for point in points), "now"],
        marks=[
            ChartMark(at=point.moment, label=f"weights #{point.weight_set}")
            for before, point in pairwise(points)
            if point.weight_set != before.weight_set
        ],
    )
