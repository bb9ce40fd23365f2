"""Log what happens to every request once in a while, not once a request."""

import logging
import time


class RepeatedLines(logging.Filter):
    """Let each place in the code log once in SECONDS; while a part is away, every request would say so."""

    SECONDS = 5.0

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is logged."""
        place, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._logged_at.get(place, -self.SECONDS) < self.SECONDS:
            return False
        self._logged_at[place] = now
        return True
