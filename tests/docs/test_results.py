"""Figures of benchmarks in the documentation are those of benchmarks/results."""

from pathlib import Path

import pytest

from benchmarks.goals import Goal
from benchmarks.pages import BLOCK, PAGES, PROJECT, with_results
from benchmarks.rows import Row


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(PROJECT)) for page in PAGES])
def test_every_table_of_results_agrees_with_the_results(page: Path) -> None:
    text = page.read_text()
    assert text == with_results(text), "run python -m benchmarks.pages"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(PROJECT)) for page in PAGES])
def test_a_page_that_refers_to_results_has_a_table_of_them(page: Path) -> None:
    text = page.read_text()
    assert "benchmarks/results" not in text or BLOCK.search(text)


def test_a_goal_is_met_only_if_the_worst_run_meets_it() -> None:
    row = Row(work="w", figures=[1.0, 1.0, 2.0], unit="s", references=[1.0, 1.0, 1.0], goal=Goal(1.5))
    assert (row.ratio, row.worst, row.met) == (1.0, 2.0, False)
    least = Row(work="w", figures=[3.0, 2.0, 2.5], unit="rows/s", goal=Goal(2.0, is_least=True))
    assert (least.figure, least.worst, least.met) == (2.5, 2.0, True)
