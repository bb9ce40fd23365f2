"""The chart of the checks over time: the share that was wrong, and the share that it is below."""

from collections.abc import Sequence

from featurehub.admin.chart import Axis, Chart, ChartSeries
from features.models import ConsistencyCheck
from features.monitoring.consistency import share_below
from features.monitoring.outcomes import outcome


def consistency_chart(checks: Sequence[ConsistencyCheck]) -> Chart:
    """Return the chart of checks in the order of time, each of which has compared somebody."""
    wrong = [100 * check.wrong / check.compared for check in checks]
    return Chart(
        kind="points",
        title="Wrong customers, check by check",
        x=Axis(label="Check (UTC)"),
        y=Axis(label="Wrong customers", unit="%"),
        labels=[check.run.started_at for check in checks],
        series=[
            ChartSeries(name="Wrong", values=wrong, lows=wrong, highs=[100 * share_below(check) for check in checks])
        ],
        notes=[outcome(check) for check in checks],
    )
