"""Numbers and moments as people read them."""

from datetime import datetime

MINUTE, HOUR, DAY = 60, 3_600, 86_400
TINY, HUGE = 1e-6, 1e15


def duration(seconds: float) -> str:
    """In its one or two largest units."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, never in the future: two machines' clocks differ."""
    return f"{duration(max((now - moment).total_seconds(), 0.0))} ago"


def brief(number: float) -> str:
    """Whole numbers as they are, others with four significant digits, or two decimals where they are larger."""
    if abs(number) >= HUGE or 0 < abs(number) < TINY:
        return f"{number:.4g}"
    if number == int(number):
        return f"{int(number):,}"
    return f"{number:,.4g}" if abs(number) < 1_000 else f"{number:,.2f}"
