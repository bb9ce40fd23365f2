"""Trust: readers use Redis for SECONDS_TRUSTED after a look at it that found it in order, and no longer.

So a writer whose values Redis refuses can wait until nobody reads the older ones: see decision 17.
"""

import math
import time

SECONDS_TRUSTED = 0.5
# Another process may have looked this much later, and found Redis still in order.
SECONDS_BETWEEN_QUESTIONS = 0.1
MARGIN = 2 * SECONDS_BETWEEN_QUESTIONS


class Trust:
    """The end, by the monotonic clock, of this process's trust in its Redis. One that never looks always trusts it."""

    def __init__(self) -> None:
        self._ends_at: float | None = None

    def begin(self) -> None:
        """Trust Redis after looks only, from now on."""
        self._ends_at = -math.inf

    def renew(self, *, looked_at: float) -> None:
        """Trust Redis after a look that began at this moment and found it in order."""
        self._ends_at = looked_at + SECONDS_TRUSTED

    @property
    def holds(self) -> bool:
        return self._ends_at is None or time.monotonic() < self._ends_at

    def wait_for_its_end(self) -> bool:
        """Wait until no process trusts a Redis that refuses everybody. Return False if there is nothing to wait for."""
        seconds = (self._ends_at or -math.inf) + MARGIN - time.monotonic()
        if seconds <= 0:
            return False
        time.sleep(seconds)
        return True


trust = Trust()
