"""The picture of the checks over time: the share that was wrong, and the share that it is below."""

import math
from collections.abc import Sequence

from features.admin.weights.charts import PLOT_HEIGHT, PLOT_WIDTH, Plot, Series, Whisker
from features.models import ConsistencyCheck
from features.monitoring.consistency import share_below
from features.monitoring.outcomes import outcome, share


def round_end(largest: float) -> float:
    """Return the end of an axis that reaches `largest`, so that half of it has as few digits: 0.0042 → 0.006."""
    power = 10.0 ** math.floor(math.log10(largest))
    return next(digit * power for digit in (1, 2, 4, 6, 8, 10) if digit * power >= largest)


def consistency_plot(checks: Sequence[ConsistencyCheck]) -> Plot:
    """Return the plot of checks in the order of time, each of which has compared somebody."""
    top = round_end(max((share_below(check) for check in checks), default=0.0) or 0.001)

    def y(value: float) -> float:
        return round(PLOT_HEIGHT * (1 - value / top), 2)

    points = [
        Whisker(
            x=round(PLOT_WIDTH * (number + 0.5) / len(checks), 2),
            y=y(check.wrong / check.compared),
            low_y=y(check.wrong / check.compared),
            high_y=y(share_below(check)),
            words=f"{check.run.started_at:%-d %b, %H:%M} UTC: {outcome(check)}",
        )
        for number, check in enumerate(checks)
    ]
    return Plot(
        series=[Series(name="Check", kind="after", points=points)],
        ticks=[(share(top * part), PLOT_HEIGHT * (1 - part)) for part in (1.0, 0.5, 0.0)],
        low_x=f"{checks[0].run.started_at:%-d %b %Y, %H:%M}",
        high_x=f"{checks[-1].run.started_at:%-d %b %Y, %H:%M}",
    )
