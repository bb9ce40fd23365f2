"""The geometry of the charts on a customer's page."""

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from events.event_types import EVENT_TYPES
from features.admin.customers.charts import Point, stacked_bar, step_line

START = datetime(2026, 1, 1, tzinfo=UTC)
parts = st.lists(st.floats(0, 5), min_size=len(EVENT_TYPES), max_size=len(EVENT_TYPES))


def bar_of(contributions: list[float]) -> tuple[list[float], float, float, bool]:
    rows = [{"event_type": name, "contribution": part} for name, part in zip(EVENT_TYPES, contributions, strict=True)]
    bar = stacked_bar(rows, unclamped=sum(contributions))
    return [segment.width for segment in bar.segments], bar.clamp, bar.score, bar.is_clamped


@given(parts)
def test_the_parts_fill_the_bar_up_to_the_score_or_beyond_the_clamp(contributions: list[float]) -> None:
    widths, clamp, score, is_clamped = bar_of(contributions)
    total = sum(contributions)
    assert sum(widths) <= 100.01
    assert 0 <= score <= clamp <= 100
    assert is_clamped is (total > 1)
    if is_clamped:
        assert abs(sum(widths) - 100) < 0.01
        assert score == clamp
    else:
        assert clamp == 100
        assert abs(sum(widths) - score) < 0.01


def test_an_event_type_without_a_contribution_has_no_segment() -> None:
    widths, *_ = bar_of([0.3, 0.0, 0.0, 0.0, 0.0, 0.2])
    assert widths == [30.0, 20.0]


def test_only_what_reaches_beyond_the_clamp_is_cut() -> None:
    rows = [{"event_type": name, "contribution": part} for name, part in (("page_view", 0.9), ("login", 0.3))]
    assert [segment.is_cut for segment in stacked_bar(rows, unclamped=1.2).segments] == [False, True]


def test_no_points_make_no_line() -> None:
    assert step_line([], until=START) is None


def test_a_value_holds_until_the_next_one() -> None:
    points = [
        Point(moment=START, value=0.25, weight_set=1),
        Point(moment=START + timedelta(hours=1), value=1.0, weight_set=2),
        Point(moment=START + timedelta(hours=2), value=0.0, weight_set=2),
    ]
    line = step_line(points, until=START + timedelta(hours=4))
    assert line is not None
    assert line.path == "M0 75.0H25.0V0.0H50.0V100.0H100"
    assert [(mark.x, mark.weight_set) for mark in line.marks] == [(25.0, 2)]
    assert line.last == 0.0


def test_one_point_is_a_level_line() -> None:
    line = step_line([Point(moment=START, value=0.5, weight_set=1)], until=START)
    assert line is not None
    assert line.path == "M0 50.0H100"
    assert line.marks == []


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1)), min_size=1, max_size=50))
def test_the_line_stays_in_its_box(rows: list[tuple[int, float]]) -> None:
    points = [Point(moment=START + timedelta(seconds=at), value=value, weight_set=1) for at, value in sorted(rows)]
    line = step_line(points, until=points[-1].moment)
    assert line is not None
    assert all(0 <= float(number) <= 100 for number in re.findall(r"[\d.]+", line.path))
