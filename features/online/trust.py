"""Trust: readers use Redis for SECONDS_TRUSTED after a look at it that found it in order, and no longer.

So a writer whose values Redis refuses can wait until nobody reads the older ones: see decision 17.
"""

import math
import time

SECONDS_TRUSTED = 0.5
# Refusals that are farther apart may be of two troubles, between which another process has found Redis in order.
SECONDS_OF_ONE_TROUBLE = 0.5


class Trust:
    """The end, by the monotonic clock, of this process's trust in its Redis, and since when Redis refuses.

    A process that never looks always trusts it.
    """

    def __init__(self) -> None:
        self._ends_at = math.inf
        self._first_refusal = self._last_refusal = -math.inf

    def begin(self) -> None:
        """Trust Redis after looks only, from now on."""
        self._ends_at = -math.inf

    def renew(self, *, looked_at: float) -> None:
        """Trust Redis after a look that began at this moment and found it in order."""
        self._ends_at = looked_at + SECONDS_TRUSTED
        self._last_refusal = -math.inf

    def note_refusal(self) -> None:
        """Note that Redis has refused a look or a writer, or did not answer."""
        now = time.monotonic()
        if now - self._last_refusal > SECONDS_OF_ONE_TROUBLE:
            self._first_refusal = now
        self._last_refusal = now

    @property
    def holds(self) -> bool:
        return time.monotonic() < self._ends_at

    def wait_for_its_end(self) -> bool:
        """Wait until no process trusts a Redis that refuses everybody. Return False if there is nothing to wait for.

        The caller was refused just now. Whoever trusts Redis has looked before the first refusal; how long ago this
        process has looked says nothing of the others. A process that never looks does not wait.
        """
        self.note_refusal()
        seconds = self._first_refusal + SECONDS_TRUSTED - time.monotonic()
        if self._ends_at == math.inf or seconds <= 0:
            return False
        time.sleep(seconds)
        return True


trust = Trust()
