"""Windows as text: "1h", "36h", "7d"."""

import re

from featurehub.lib.errors import InvalidError
from features.formulas.windowed import HOURS_PER_DAY
from features.models.definitions import WIDEST_WINDOW_HOURS

WINDOW_TEXT = re.compile(r"([0-9]{1,4})([hd])")
WINDOWS_ALLOWED = "A window is a whole number of hours or days, from 1h to 90d: for example 1h, 24h or 7d."


def window_text(hours: int) -> str:
    """Return a window as it is written everywhere: whole days as "7d", other windows as "6h" or "36h"."""
    days, rest = divmod(hours, HOURS_PER_DAY)
    return f"{hours}h" if rest else f"{days}d"


def parse_window(text: str) -> int:
    """Return the hours of a window such as "6h", "24h" or "7d".

    Raises InvalidError for any other text, and for less than an hour or more than 90 days.
    """
    hours = hours_of(text)
    if not 1 <= hours <= WIDEST_WINDOW_HOURS:
        raise InvalidError(WINDOWS_ALLOWED)
    return hours


def hours_of(text: str) -> int:
    """Return the hours of a text such as "6h" or "7d"; 0 for any other text."""
    found = WINDOW_TEXT.fullmatch(text.strip().lower())
    return int(found[1]) * (HOURS_PER_DAY if found[2] == "d" else 1) if found else 0
