"""`{% load charts %}`: `{% chart chart %}` and the small `{% sparkline values label="…" %}` of the admin."""

from collections.abc import Sequence
from typing import Any

from django import template

from featurehub.admin.chart import Chart
from featurehub.lib.humanize import brief

register = template.Library()

# The drawing area of a sparkline, in SVG units; y runs downwards. A margin keeps the line's ends inside.
SPARK_WIDTH, SPARK_HEIGHT, SPARK_MARGIN = 100.0, 24.0, 2.0


@register.inclusion_tag("featurehub/chart.html", name="chart")
def render_chart(
    chart: Chart, *, level: int = 3, refresh_url: str = "", seconds: int = 30, is_open: bool = False
) -> dict[str, Any]:
    """Return the context of a chart; its heading is of `level`, 0 for one that only screen readers hear.

    `is_open` shows the table too. With `refresh_url`, the page asks there for the chart's JSON every so many seconds.
    """
    data = chart.as_json()
    cells = zip(*(one["texts"] for one in data["series"]), strict=True)
    links, notes = data["links"] or [""] * len(data["labels"]), data["notes"]
    rows = zip(data["labels"], links, cells, notes or [""] * len(data["labels"]), strict=True)
    return {
        "data": data,
        "rows": list(rows),
        "has_notes": bool(notes),
        "has_legend": len(data["series"]) > 1,
        "level": level,
        "is_open": is_open,
        "refresh_url": refresh_url,
        "seconds": seconds,
    }


@register.inclusion_tag("featurehub/sparkline.html")
def sparkline(values: Sequence[float | None], *, label: str) -> dict[str, Any]:
    """Return the context of a small line through the values; gaps stand where a value is None."""
    known = [value for value in values if value is not None]
    return {
        "paths": sparkline_paths(values),
        "words": f"{label}: {brief(known[0])} to {brief(known[-1])}" if known else f"{label}: no values",
        "width": SPARK_WIDTH,
        "height": SPARK_HEIGHT,
    }


def sparkline_paths(values: Sequence[float | None]) -> str:
    """Return the line as an SVG path, from the least of the values at the bottom to the greatest at the top."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    least, spread = min(known), max(known) - min(known)
    step = SPARK_WIDTH / max(len(values) - 1, 1)
    path, is_drawing = [], False
    for number, value in enumerate(values):
        if value is not None:
            share = (value - least) / spread if spread else 0.5
            y = SPARK_MARGIN + (SPARK_HEIGHT - 2 * SPARK_MARGIN) * (1 - share)
            path.append(f"{'L' if is_drawing else 'M'}{step * number:.1f} {y:.1f}")
        is_drawing = value is not None
    return " ".join(path) + (f"H{SPARK_WIDTH:.0f}" if len(values) == 1 else "")
