"""Histograms of values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.tuning.histograms import BINS, HistogramBar, histograms

numbers = st.one_of(st.floats(-1e9, 1e9), st.integers(0, 30).map(float), st.sampled_from([0.0, -1e308, 1e308, 5e-324]))


def test_few_whole_numbers_have_a_bar_each() -> None:
    assert histograms(np.array([1.0, 1.0, 3.0])) == [
        [HistogramBar(low=1.0, high=1.0, customers=2), HistogramBar(low=3.0, high=3.0, customers=1)]
    ]


def test_one_very_large_value_hides_no_other() -> None:
    (bars,) = histograms(np.array([*np.linspace(0.1, 1.1, 199), 1e9]))
    assert (len(bars), bars[-1].high) == (BINS, None)
    assert min(bar.customers for bar in bars) > 0


def test_two_sides_have_the_same_ranges() -> None:
    left, right = histograms(np.array([0.1, 0.2]), np.array([5.0]))
    assert [(bar.low, bar.high) for bar in left] == [(bar.low, bar.high) for bar in right]
    assert (sum(bar.customers for bar in left), sum(bar.customers for bar in right)) == (2, 1)


def test_nothing_has_no_bars() -> None:
    assert histograms(np.array([]), np.array([])) == [[], []]


@given(st.lists(numbers, max_size=60), st.lists(numbers, max_size=60))
def test_every_customer_is_in_one_bar(left: list[float], right: list[float]) -> None:
    sides = histograms(np.array(left), np.array(right))
    assert [sum(bar.customers for bar in side) for side in sides] == [len(left), len(right)]


@pytest.mark.parametrize("value", [0.5, -3.25, 1e300])
def test_one_value_is_one_place(value: float) -> None:
    (bars,) = histograms(np.array([value] * 3))
    assert sum(bar.customers for bar in bars) == 3
