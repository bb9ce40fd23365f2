"""Run work beside the requests: in threads of the process that answer none."""

import logging
import sched
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connections

logger = logging.getLogger(__name__)


class BackgroundThread(threading.Thread):
    """A thread that answers no request, and does not keep the process from ending."""

    def __init__(self, work: Callable[[], object], *, name: str) -> None:
        super().__init__(target=work, name=name, daemon=True)


def is_in_background() -> bool:
    """Return whether the caller's thread answers no request."""
    return isinstance(threading.current_thread(), BackgroundThread)


class BackgroundJobs:
    """One thread for the jobs of a process: each at its moment, one after another.

    The thread starts with the first job, so that it is one of the process that needs it, and not of the one that forked
    it.
    """

    def __init__(self) -> None:
        self._woken = threading.Event()
        self._jobs = sched.scheduler(time.monotonic, self._sleep)
        self._starting = threading.Lock()
        self._thread: BackgroundThread | None = None

    def run(self, job: Callable[[], object], *, in_seconds: float = 0.0) -> None:
        """Run the job once, in so many seconds, without waiting for it. Its errors are logged."""
        self._jobs.enter(in_seconds, 0, perform, (job,))
        self._woken.set()
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = BackgroundThread(self._work, name="background jobs")
                self._thread.start()

    def _work(self) -> None:
        while True:
            self._jobs.run()
            self._sleep(None)

    def _sleep(self, seconds: float | None) -> None:
        """Wait so long, or until there is a further job."""
        self._woken.wait(seconds)
        self._woken.clear()


def perform(job: Callable[[], object]) -> None:
    """Do the job, log its error, and return the thread's database session to the pool."""
    try:
        job()
    except Exception:  # the thread goes on with the next job
        logger.exception("A job in the background failed.")
    finally:
        connections.close_all()


background_jobs = BackgroundJobs()


def run_beside_requests(job: Callable[[], object]) -> None:
    """Run the job once: in a process of a pool beside its requests, in others here and now."""
    if settings.POOL:
        background_jobs.run(job)
    else:
        job()
