"""Format numbers, moments and lists for people."""

from collections.abc import Collection
from datetime import datetime

from django.utils.text import get_text_list

MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60, 3_600, 86_400
TINY, HUGE = 1e-6, 1e15
MOST_LISTED = 20
# Two decimals say it all, and the word would say nothing.
UNITS_WITHOUT_WORDS = ("currency", "share", "ratio")
SMALLEST_OF_TWO_DECIMALS = 0.005


def duration(seconds: float) -> str:
    """Return the seconds in one or two units, the largest that fit."""
    whole = round(seconds)
    if whole < MINUTE_SECONDS:
        return f"{whole} s"
    if whole < HOUR_SECONDS:
        return f"{whole // MINUTE_SECONDS} min {whole % MINUTE_SECONDS} s"
    if whole < DAY_SECONDS:
        return f"{whole // HOUR_SECONDS} h {whole % HOUR_SECONDS // MINUTE_SECONDS} min"
    return f"{whole // DAY_SECONDS} d {whole % DAY_SECONDS // HOUR_SECONDS} h"


def ago(moment: datetime, now: datetime) -> str:
    """Return the time since `moment`, as in "5 min 0 s ago".

    A moment after `now` counts as now: clocks of two machines differ.
    """
    return f"{duration(max((now - moment).total_seconds(), 0.0))} ago"


def brief(number: float) -> str:
    """Return a short text of the number.

    Whole numbers are shown exactly, others with four significant digits, or with two decimals from 1,000 on.
    """
    if abs(number) >= HUGE or 0 < abs(number) < TINY:
        return f"{number:.4g}"
    if number == int(number):
        return f"{int(number):,}"
    return f"{number:,.4g}" if abs(number) < 1_000 else f"{number:,.2f}"


def listed(words: Collection[str], *, last: str = "and", most: int = MOST_LISTED) -> str:
    """Return "a, b and c"; of more than `most` words the first ones and how many more there are."""
    if len(words) > most:
        return get_text_list([*list(words)[:most], f"{len(words) - most} more"], "and")
    return get_text_list(list(words), last)


def measure(number: float, unit: str) -> str:
    """Return a value with its unit as people read it: "67.45" of a currency, "0.67" of a share, "1 event".

    Currency, shares and ratios have two decimals and no word; seconds become a duration; other units are words.
    """
    if unit == "seconds":
        return duration(number)
    if unit in UNITS_WITHOUT_WORDS:
        return brief(number) if 0 < abs(number) < SMALLEST_OF_TWO_DECIMALS else f"{number:,.2f}"
    word = unit.removesuffix("s") if number == 1 else unit
    return f"{brief(number)} {word}".rstrip()
