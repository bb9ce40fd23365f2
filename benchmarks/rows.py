"""Results of a benchmark: rows with the figures of each run, those of a floor or peer, and whether they meet the goal.

A goal is met only if the worst run meets it: a margin that is thinner than the noise does not count.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

from benchmarks.goals import Goal
from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results"
RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A result: the figure of each run in `unit`, and in `references` that of the floor or peer in the same run.

    Without figures, `note` says why: a side was past saturation, for example.
    """

    work: str
    figures: Sequence[float]
    unit: str
    against: Literal["peer", "floor"] | None = None
    references: Sequence[float] = ()
    goal: Goal | None = None
    note: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def figure(self) -> float | None:
        """Return the median figure."""
        return median(self.figures) if self.figures else None

    @property
    def reference(self) -> float | None:
        """Return the median figure of the floor or peer."""
        return median(self.references) if self.references else None

    @property
    def ratio(self) -> float | None:
        """Return figure / reference."""
        return self.figure / self.reference if self.figure is not None and self.reference else None

    @property
    def worst(self) -> float | None:
        """Return the ratio (or figure) of the run that is farthest from the goal, None without a goal or figures."""
        judged = [figure / other for figure, other in zip(self.figures, self.references, strict=False)] or self.figures
        if self.goal is None or not judged:
            return None
        return min(judged) if self.goal.is_least else max(judged)

    @property
    def met(self) -> bool | None:
        """Return whether the worst run meets the goal."""
        return None if self.goal is None or self.worst is None else self.goal.is_met_by(self.worst)


def as_json(row: Row) -> dict[str, object]:
    """Return the row as it is written to a file of results."""
    held_against = {} if row.against is None else {row.against: significant(row.reference)}
    return {
        "work": row.work,
        "figure": significant(row.figure),
        "unit": row.unit,
        **held_against,
        "ratio": significant(row.ratio),
        "worst": significant(row.worst),
        "goal": "" if row.goal is None else str(row.goal),
        "met": row.met,
        "runs": len(row.figures),
        "machine": machine(),
        "note": row.note,
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
    lines = [("work", "figure", "unit", "peer/floor", "ratio", "worst", "goal", "met", "")]
    for row in rows:
        met = {True: "yes", False: "NO", None: ""}[row.met]
        numbers = (text(row.reference), text(row.ratio), text(row.worst))
        lines.append((row.work, text(row.figure), row.unit, *numbers, str(row.goal or ""), met, row.note))
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
