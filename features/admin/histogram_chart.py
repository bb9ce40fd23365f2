"""Histograms of any range as charts."""

from collections.abc import Sequence

from featurehub.admin.chart import Axis, Chart, ChartSeries
from featurehub.lib.humanize import HUGE, brief
from features.tuning.histograms import HistogramBar

CUSTOMERS_AXIS = Axis(label="Customers", unit="customers", unit_of_one="customer")


def histogram_of(bars: Sequence[HistogramBar], *, title: str) -> Chart:
    """Return the histogram of one side."""
    counts = [bar.customers for bar in bars]
    return histogram_chart([ChartSeries(name="Customers", values=counts, at=middles(bars))], title=title, bars=bars)


def overlaid(bars: Sequence[tuple[HistogramBar, HistogramBar]], *, title: str, before: str, after: str) -> Chart:
    """Return the histograms of two sides beside each other, on the same range; each customer counts in both."""
    range_of = [old for old, _ in bars]
    at = middles(range_of)
    sides = [
        ChartSeries(name=before, role="before", values=[old.customers for old, _ in bars], at=at),
        ChartSeries(name=after, role="after", values=[new.customers for _, new in bars], at=at),
    ]
    return histogram_chart(sides, title=title, bars=range_of)


def histogram_chart(sides: Sequence[ChartSeries], *, title: str, bars: Sequence[HistogramBar]) -> Chart:
    return Chart(
        kind="bar",
        title=title,
        x=Axis(label="Value", begins_at_zero=False),
        y=CUSTOMERS_AXIS,
        labels=[range_in_words(bar) for bar in bars],
        series=sides,
    )


def middles(bars: Sequence[HistogramBar]) -> list[float]:
    """Return where the bars stand on the axis; nothing for a range too large to place them.

    A last bar without an upper bound is drawn as wide as the first.
    """
    if any(abs(bar.low) > HUGE or abs(bar.high or 0.0) > HUGE for bar in bars):
        return []
    width = (bars[0].high or bars[0].low) - bars[0].low
    return [bar.low + ((bar.low + width if bar.high is None else bar.high) - bar.low) / 2 for bar in bars]


def range_in_words(bar: HistogramBar) -> str:
    if bar.high is None:
        return f"{brief(bar.low)} or more"
    return brief(bar.low) if bar.low == bar.high else f"{brief(bar.low)} to {brief(bar.high)}"
