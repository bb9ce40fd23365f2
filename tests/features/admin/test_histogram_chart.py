"""Histograms as charts: bars stand on the axis where their values are."""

import json

from features.admin.histogram_chart import histogram_of, overlaid
from features.tuning.histograms import HistogramBar


def bars(*ranges: tuple[float, float | None]) -> list[HistogramBar]:
    return [HistogramBar(low=low, high=high, customers=number) for number, (low, high) in enumerate(ranges, start=1)]


def test_bars_stand_in_the_middle_of_their_range() -> None:
    chart = histogram_of(bars((0, 2), (2, 4), (4, None)), title="Spend")
    assert chart.labels == ["0 to 2", "2 to 4", "4 or more"]
    assert list(chart.series[0].at) == [1, 3, 5]


def test_whole_numbers_stand_at_themselves() -> None:
    assert list(histogram_of(bars((1, 1), (2, 2), (5, None)), title="Logins").series[0].at) == [1, 2, 5]


def test_a_range_too_large_to_place_is_drawn_bar_by_bar() -> None:
    chart = histogram_of(bars((-1.7e308, 0), (0, 1.7e308)), title="Huge")
    assert chart.series[0].at == []
    assert "Infinity" not in json.dumps(chart.as_json())


def test_two_sides_share_their_bars() -> None:
    sides = list(zip(bars((0, 1), (1, 2)), bars((0, 1), (1, 2)), strict=True))
    chart = overlaid(sides, title="Score", before="1.0", after="2.0")
    assert [one.name for one in chart.series] == ["1.0", "2.0"]
    assert [one.role for one in chart.series] == ["before", "after"]
