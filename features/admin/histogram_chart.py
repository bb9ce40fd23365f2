"""The geometry of histograms of any range: figures in, numbers for inline SVG out."""

from collections.abc import Sequence
from dataclasses import dataclass

from featurehub.lib.humanize import brief
from features.tuning.histograms import HistogramBar

# The size of the drawing area, in SVG units; y runs downwards. The template's viewBox adds the margins.
HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT = 400.0, 140.0
# The share of its column that a bar fills, so that bars stand apart.
FILLED = 0.86


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """One side's bar: `kind` is the colour, before or after."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BarColumn:
    """The bars of one part of the range, over each other, and what they mean in words."""

    x: float
    width: float
    rects: list[Rect]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Columns, and `ticks` under them: the text of a label, its x, and its text anchor."""

    columns: list[BarColumn]
    ticks: list[tuple[str, float, str]]


def histogram_of(bars: Sequence[HistogramBar]) -> Histogram:
    """Return the histogram of one side."""
    words = [f"{range_in_words(bar)}: {bar.customers:,} customers" for bar in bars]
    return drawn({"after": [bar.customers for bar in bars]}, words=words, bars=bars)


def overlaid(bars: Sequence[tuple[HistogramBar, HistogramBar]], *, before: str, after: str) -> Histogram:
    """Return the histograms of two sides over each other, on the same range; each customer counts in both."""
    words = [f"{range_in_words(old)}: {old.customers:,} in {before}, {new.customers:,} in {after}" for old, new in bars]
    sides = {"before": [old.customers for old, _ in bars], "after": [new.customers for _, new in bars]}
    return drawn(sides, words=words, bars=[old for old, _ in bars])


def drawn(sides: dict[str, list[int]], *, words: Sequence[str], bars: Sequence[HistogramBar]) -> Histogram:
    tallest = max(1, *(max(counts) for counts in sides.values()))
    step = HISTOGRAM_WIDTH / len(bars)
    columns = []
    for number, text in enumerate(words):
        heights = {kind: round(HISTOGRAM_HEIGHT * counts[number] / tallest, 2) for kind, counts in sides.items()}
        rects = [
            Rect(kind=kind, y=round(HISTOGRAM_HEIGHT - height, 2), height=height) for kind, height in heights.items()
        ]
        x = round(step * (number + (1 - FILLED) / 2), 2)
        columns.append(BarColumn(x=x, width=round(step * FILLED, 2), rects=rects, words=text))
    return Histogram(columns=columns, ticks=range_ticks(bars))


def range_ticks(bars: Sequence[HistogramBar]) -> list[tuple[str, float, str]]:
    """Return labels for both ends of the range and, where it is the edge of a bar, its middle."""
    first, last = bars[0], bars[-1]
    end = f"{brief(last.low)} or more" if last.high is None else brief(last.high)
    if len(bars) == 1:
        return [(end, HISTOGRAM_WIDTH / 2, "middle")]
    middle = [(brief(bars[len(bars) // 2].low), HISTOGRAM_WIDTH / 2, "middle")] if len(bars) % 2 == 0 else []
    return [(brief(first.low), 0.0, "start"), *middle, (end, HISTOGRAM_WIDTH, "end")]


def range_in_words(bar: HistogramBar) -> str:
    if bar.high is None:
        return f"{brief(bar.low)} or more"
    return brief(bar.low) if bar.low == bar.high else f"{brief(bar.low)} to {brief(bar.high)}"
