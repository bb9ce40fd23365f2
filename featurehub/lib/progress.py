"""Progress bars of commands."""

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

# Called with the number of items done since the last call.
Progress = Callable[[int], object]


def progress_bar(*, total: int | None, unit: str, description: str) -> "tqdm[Any]":
    """Return a progress bar on stderr with the rate and the time left.

    It is redrawn ten times a second in a terminal, and every five seconds in a log file.
    """
    interval = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(total=total, unit=f" {unit}", desc=description, mininterval=interval, unit_scale=False, file=sys.stderr)
