"""Results of a benchmark: rows with a figure, its reference, and whether the two meet the goal."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A result: `figure` in `unit`.

    The goal is for figure / reference, or for the figure where there is no reference.
    """

    work: str
    figure: float
    unit: str
    against: Literal["peer", "floor"] | None = None
    reference: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    runs: int = 1
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Return figure / reference, None without a reference."""
        return self.figure / self.reference if self.reference else None

    @property
    def goal(self) -> str:
        """Return the goal as text, empty where there is none."""
        what = "ratio" if self.reference else self.unit
        if self.at_most is not None:
            return f"{what} <= {self.at_most:.3g}"
        return "" if self.at_least is None else f"{what} >= {self.at_least:.3g}"

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met, None where there is no goal."""
        judged = self.figure if self.ratio is None else self.ratio
        if self.at_most is not None:
            return judged <= self.at_most
        return None if self.at_least is None else judged >= self.at_least


def as_json(row: Row) -> dict[str, object]:
    """Return the row as it is written to a file of results."""
    held_against = {} if row.against is None else {row.against: significant(row.reference)}
    return {
        "work": row.work,
        "figure": significant(row.figure),
        "unit": row.unit,
        **held_against,
        "ratio": significant(row.ratio),
        "goal": row.goal,
        "met": row.met,
        "runs": row.runs,
        "machine": machine(),
        "details": row.details,
    }


def significant(number: float | None) -> float | None:
    """Return four significant digits: more would be noise."""
    return None if number is None else float(f"{number:.4g}")


def write(name: str, rows: Sequence[Row]) -> Path:
    """Write the rows to `results/NAME.json`. Return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps([as_json(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
    return path


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table."""
    lines = [("work", "figure", "unit", "peer/floor", "ratio", "goal", "met")]
    for row in rows:
        met = {True: "yes", False: "NO", None: ""}[row.met]
        lines.append((row.work, text(row.figure), row.unit, text(row.reference), text(row.ratio), row.goal, met))
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return the lines with columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def text(number: float | None) -> str:
    """Return a number as text, empty where there is none."""
    if number is None:
        return ""
    return f"{number:,.0f}" if number >= 1_000 else f"{number:.3g}"
