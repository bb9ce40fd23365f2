"""Numbers and moments as text for people."""

from datetime import UTC, datetime, timedelta

import pytest

from featurehub.lib.humanize import ago, brief, duration, measure


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3_599, "59 min 59 s"), (3_600, "1 h 0 min"), (90_000, "1 d 1 h")],
)
def test_a_duration_is_told_in_its_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_moment_ahead_of_our_clock_was_just_now() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert ago(now + timedelta(seconds=3), now) == "0 s ago"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (12_345.0, "12,345"), (0.3, "0.3"), (1 / 3, "0.3333"), (1234.567, "1,234.57"), (1e300, "1e+300")],
)
def test_a_number_is_brief(number: float, text: str) -> None:
    assert brief(number) == text


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (67.4512, "currency", "67.45"),
        (1.5, "currency", "1.50"),
        (2 / 3, "share", "0.67"),
        (0.0012, "ratio", "0.0012"),
        (0, "share", "0.00"),
        (1, "events", "1 event"),
        (2, "events", "2 events"),
        (0, "days", "0 days"),
        (95, "seconds", "1 min 35 s"),
        (3, "", "3"),
    ],
)
def test_a_value_reads_with_its_unit(number: float, unit: str, text: str) -> None:
    assert measure(number, unit) == text
