"""Tallies of a check of consistency: for each comparison, version and feature how many values matched."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from features.formulas.activity import Bools
from features.monitoring.compared import ComparedColumn, Problem

# {"comparison", "version", "feature", "matching", "missing", "extra", "different", "largest_difference"}
Tally: TypeAlias = dict[str, Any]
COUNTED_AS = ("matching", *(problem.value for problem in Problem))
LARGEST_DIFFERENCE = "largest_difference"


def tally(column: ComparedColumn, customers: Bools) -> Tally:
    """Count one column's values of these customers."""
    counted: Tally = {
        "comparison": column.comparison.value,
        "version": f"{column.view.feature_type}:{column.view.number}",
        "feature": column.name,
        "matching": int(np.count_nonzero(column.is_matching() & column.is_compared & customers)),
        LARGEST_DIFFERENCE: 0.0,
    }
    for problem, having in column.problems():
        counted[problem.value] = int(np.count_nonzero(having & customers))
        if problem == Problem.DIFFERENT and counted[problem.value]:
            with np.errstate(over="ignore"):
                sizes = np.abs(column.found - column.expected)[having & customers]
            counted[LARGEST_DIFFERENCE] = float(min(sizes.max(), np.finfo(np.float64).max))
    return counted


def added(before: Sequence[Tally], more: Sequence[Tally]) -> list[Tally]:
    """Return the tallies with more counted in, in the order in which they were first counted."""
    sums: dict[tuple[str, ...], Tally] = {key_of_tally(each): dict(each) for each in before}
    for each in more:
        held = sums.setdefault(key_of_tally(each), {**each, **dict.fromkeys(COUNTED_AS, 0), LARGEST_DIFFERENCE: 0.0})
        for name in COUNTED_AS:
            held[name] += each[name]
        held[LARGEST_DIFFERENCE] = max(held[LARGEST_DIFFERENCE], each[LARGEST_DIFFERENCE])
    return list(sums.values())


def key_of_tally(each: Mapping[str, Any]) -> tuple[str, ...]:
    return each["comparison"], each["version"], each["feature"]
