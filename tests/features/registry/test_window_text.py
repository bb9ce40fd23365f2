"""Windows written as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurehub.lib.errors import InvalidError
from features.registry.window_text import parse_window, window_text


@pytest.mark.parametrize(
    ("text", "hours", "canonical"),
    [
        ("1h", 1, "1h"), ("24h", 24, "1d"), ("36h", 36, "36h"), ("7d", 168, "7d"), ("168h", 168, "7d"),
        ("2160h", 2160, "90d"), ("90d", 2160, "90d"), (" 6H ", 6, "6h"), ("06h", 6, "6h"),
    ],
)  # fmt: skip
def test_hours_and_days_are_windows_and_whole_days_are_written_as_days(text: str, hours: int, canonical: str) -> None:
    assert parse_window(text) == hours
    assert window_text(hours) == canonical


@given(hours=st.integers(1, 90 * 24))
def test_every_window_that_is_written_is_read_as_itself(hours: int) -> None:
    assert parse_window(window_text(hours)) == hours


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "7",
        "0h",
        "0d",
        "00h",
        "91d",
        "2161h",
        "99999999999d",
        "1w",
        "1.5h",
        "-1h",
        "+1h",
        "1 h",
        "h",
        "1d1h",
        "1h\n2h",
        "٣h",
        "１h",
    ],
)
def test_any_other_text_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidError) as refused:
        parse_window(text)
    assert refused.value.detail == (
        "A window is a whole number of hours or days, from 1h to 90d: for example 1h, 24h or 7d."
    )
