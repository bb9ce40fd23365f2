"""Columns of values as they were found, beside the values that were expected: what a check of consistency counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from features.formulas.activity import Bools, Floats
from features.formulas.view import FeatureView
from features.materialization.compute import DECAY_TOLERANCE


class Against(StrEnum):
    """The three comparisons: where a value was found, and what it was held against."""

    SERVED = "Redis against history"
    DECAY = "decay snapshot against history"
    STORED = "history against events"


class Problem(StrEnum):
    """The ways in which a value can be wrong."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedColumn:
    """One feature of a version for n customers, as it was found and as it is expected; NaN: no value.

    `name` is the feature's, or in brackets what else was compared: "(history row)". Only where `is_compared` is true
    the values say anything.
    """

    comparison: Against
    view: FeatureView
    name: str
    found: Floats
    expected: Floats
    is_compared: Bools

    def is_matching(self) -> Bools:
        """Return where both have the same value up to the last bits, or none."""
        with np.errstate(over="ignore", invalid="ignore"):
            close = np.isclose(self.found, self.expected, rtol=DECAY_TOLERANCE, atol=DECAY_TOLERANCE, equal_nan=True)
        matching: Bools = close | ~self.is_compared
        return matching

    def problems(self) -> Iterator[tuple[Problem, Bools]]:
        """Yield each problem with the customers who have it."""
        wrong = ~self.is_matching()
        no_value, none_expected = np.isnan(self.found), np.isnan(self.expected)
        yield Problem.MISSING, wrong & no_value
        yield Problem.EXTRA, wrong & none_expected
        yield Problem.DIFFERENT, wrong & ~no_value & ~none_expected


def is_wrong(columns: Sequence[ComparedColumn], *, customers: int) -> Bools:
    """Return for each of the customers whether anything that was compared is wrong."""
    wrong: Bools = np.logical_or.reduce([np.zeros(customers, dtype=bool), *(~each.is_matching() for each in columns)])
    return wrong


def findings_at(columns: Sequence[ComparedColumn], place: int) -> Iterator[dict[str, object]]:
    """Yield what is wrong with the customer at this place, as JSON keeps it."""
    for column in columns:
        for problem, customers in column.problems():
            if customers[place]:
                yield {
                    "comparison": column.comparison,
                    "version": f"{column.view.feature_type}:{column.view.number}",
                    "feature": column.name,
                    "problem": problem,
                    "found": value_at(column.found, place),
                    "expected": value_at(column.expected, place),
                }


def value_at(values: Floats, place: int) -> float | str | None:
    """Return a value as JSON takes it: None for no value, a text for infinity."""
    value = float(values[place])
    if np.isnan(value):
        return None
    return value if np.isfinite(value) else str(value)
