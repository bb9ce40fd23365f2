"""Charts of the admin as data: what is drawn, its axes, and the table of the same numbers.

`{% load charts %}{% chart chart %}` renders one; `charts.js` draws it. A view that refreshes one answers with
`chart.as_json()`. The labels stand on the x axis and the values on the y axis; in the kinds `horizontal` and
`dumbbell` the labels stand one below the other, and the axes keep their names: `x` is that of the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any, Literal

from featurehub.lib.humanize import brief

ChartKind = Literal["line", "step", "bar", "stacked", "horizontal", "waterfall", "dumbbell", "points"]
DASH = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis: its name, and the unit of its values as it stands after many of them and after `1`.

    `decimals` are those of the values in the table; without it, four significant digits. Percentages are values like
    12.3 with the unit "%".
    """

    label: str = ""
    unit: str = ""
    unit_of_one: str = ""
    decimals: int | None = None
    begins_at_zero: bool = True
    maximum: float | None = None

    def text(self, value: float | None) -> str:
        """Return a value with its unit: "67.45 s", "1.4×", "1 event"; a dash for None."""
        if value is None:
            return DASH
        number = brief(value) if self.decimals is None else f"{value:,.{self.decimals}f}"
        unit = self.unit_of_one if value == 1 and self.unit_of_one else self.unit
        return f"{number}{unit}" if unit in ("", "×") else f"{number} {unit}"

    def as_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "unit": self.unit,
            "begins_at_zero": self.begins_at_zero,
            "maximum": self.maximum,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSeries:
    """One value a label. `role` gives the colour: `before`, `after`, `plain` or an event type.

    `roles` gives each value its own; `lows` and `highs` are the ends of each value's interval; `at` is where on a
    numeric x axis each value stands.
    """

    name: str
    values: Sequence[float | None]
    role: str = "plain"
    roles: Sequence[str] = ()
    lows: Sequence[float | None] = ()
    highs: Sequence[float | None] = ()
    at: Sequence[float] = ()

    def texts(self, axis: Axis) -> list[str]:
        """Return each value as the table and the tooltip show it, with its interval in brackets."""
        texts = [axis.text(value) for value in self.values]
        if not self.lows or not self.highs:
            return texts
        return [
            text if low is None or high is None else f"{text} ({axis.text(low)} to {axis.text(high)})"
            for text, low, high in zip(texts, self.lows, self.highs, strict=True)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceLine:
    """A line across the chart at a value, as at 1×."""

    value: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartMark:
    """A line up the chart: at a moment of a time axis, at a number of a numeric one, or at one of the labels."""

    at: datetime | float | str
    label: str

    def as_json(self) -> dict[str, Any]:
        if isinstance(self.at, datetime):
            text = f"{self.at.astimezone(UTC):%-d %b %Y, %H:%M}"
            return {"at": milliseconds(self.at), "label": self.label, "text": text}
        return {"at": self.at, "label": self.label, "text": str(self.at)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart. Raises ValueError where a series has not one value a label.

    Aware datetimes as labels make a time axis, in UTC. `links` and `notes` have an address or a remark for each label.
    In a `waterfall` the first value and the last stand on zero, the ones between are changes. A `dumbbell` has two
    series.
    """

    kind: ChartKind
    title: str
    labels: Sequence[str] | Sequence[datetime]
    series: Sequence[ChartSeries]
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    lines: Sequence[ReferenceLine] = ()
    marks: Sequence[ChartMark] = ()
    links: Sequence[str] = ()
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        optional = [self.links, self.notes, *(p for s in self.series for p in (s.roles, s.lows, s.highs, s.at))]
        lengths = {len(one.values) for one in self.series} | {len(part) for part in optional if part}
        if lengths - {len(self.labels)}:
            raise ValueError(f"{self.title}: each series has one value for each of the {len(self.labels)} labels.")

    @property
    def is_over_time(self) -> bool:
        return bool(self.labels) and isinstance(self.labels[0], datetime)

    def label_texts(self) -> list[str]:
        """Return the labels as texts; moments as dates where all are at midnight."""
        moments = [label.astimezone(UTC) for label in self.labels if isinstance(label, datetime)]
        if not moments:
            return [str(label) for label in self.labels]
        if all(moment.time() == time() for moment in moments):
            return [f"{moment:%-d %b %Y}" for moment in moments]
        seconds = ":%S" if any(moment.second for moment in moments) else ""
        return [f"{moment:%-d %b %Y, %H:%M}{moment.strftime(seconds)}" for moment in moments]

    def table_head(self) -> list[str]:
        """Return the table's column names; the first is that of the labels."""
        names = self.x.label or ("Time (UTC)" if self.is_over_time else "Label")
        return [names, *(one.name for one in self.series), *(["Note"] if self.notes else [])]

    def colours(self) -> list[str]:
        """Return the role of each series; a second plain one is `plain-2`, so that it is told from the first."""
        names: list[str] = []
        for one in self.series:
            earlier = sum(name.startswith("plain") for name in names)
            names.append(f"plain-{earlier + 1}" if one.role == "plain" and earlier else one.role)
        return names

    def as_json(self) -> dict[str, Any]:
        """Return what `charts.js` draws, and the rows of the table as texts."""
        columns = [one.texts(self.y) for one in self.series]
        return {
            "kind": self.kind,
            "title": self.title,
            "x": self.x.as_json(),
            "y": self.y.as_json(),
            "labels": self.label_texts(),
            "moments": [milliseconds(label) for label in self.labels if isinstance(label, datetime)],
            "series": [
                series_as_json(one, role=role, texts=texts)
                for one, role, texts in zip(self.series, self.colours(), columns, strict=True)
            ],
            "lines": [{"value": line.value, "label": line.label} for line in self.lines],
            "marks": [mark.as_json() for mark in self.marks],
            "links": list(self.links),
            "notes": list(self.notes),
            "head": self.table_head(),
        }


def series_as_json(one: ChartSeries, *, role: str, texts: list[str]) -> dict[str, Any]:
    return {
        "name": one.name,
        "role": role,
        "values": list(one.values),
        "texts": texts,
        "roles": list(one.roles),
        "lows": list(one.lows),
        "highs": list(one.highs),
        "at": list(one.at),
    }


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)
