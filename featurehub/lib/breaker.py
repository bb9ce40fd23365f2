"""Circuit breakers: while a service does not answer, the requests of this process fail at once (decision 16)."""

import logging
import threading
import time
from collections.abc import Callable

from django.conf import settings

from featurehub.lib.background import BackgroundThread

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_PROBES = 0.25


class Breaker:
    """The state of a service in this process: it answers, or a thread is finding out when it does again.

    Only processes of a pool have requests to protect: elsewhere a breaker never opens.
    """

    def __init__(self, service: str, *, probe: Callable[[], object]) -> None:
        """Take a function that returns if the service answers, and raises within a short time if it does not."""
        self._service = service
        self._probe = probe
        self._opening = threading.RLock()  # a finalizer may run in the middle of `open`
        self._prober: threading.Thread | None = None
        self.openings = 0  # so many times it has opened

    @property
    def is_open(self) -> bool:
        """Return whether to fail at once. The thread that probes may always call the service."""
        prober = self._prober
        # A forked child has the attribute and not the thread.
        return prober is not None and prober is not threading.current_thread() and prober.is_alive()

    def open(self, reason: object) -> None:
        """Let calls fail at once until a probe in the background succeeds, the first of them right now."""
        if not settings.POOL:
            return
        with self._opening:
            if self._prober is None or not self._prober.is_alive():
                self.openings += 1
                logger.warning("%s does not answer, calls fail at once until it does: %s", self._service, reason)
                self._prober = BackgroundThread(self._probe_until_it_answers, name=f"probe of {self._service}")
                self._prober.start()

    def _probe_until_it_answers(self) -> None:
        while True:
            try:
                self._probe()
            except Exception as error:  # whatever a client library raises, the service does not answer
                logger.debug("%s does not answer: %s", self._service, error)
                time.sleep(SECONDS_BETWEEN_PROBES)
            else:
                logger.warning("%s answers again.", self._service)
                self._prober = None
                return
