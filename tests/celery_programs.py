"""Celery programs as processes: workers and beat, on this test's database and a broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.at_once import PROJECT, environment_of_tests


@contextmanager
def celery(
    *arguments: str, url: str, program: tuple[str, ...] = ("-m", "celery"), **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Celery program with this test's database and the broker, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, *program, "--quiet", "-A", "featurehub.celery", *arguments, "--loglevel", "WARNING"],
        cwd=PROJECT,
        env=environment_of_tests() | {"CELERY_BROKER_URL": url} | environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None


def worker(
    url: str, *, concurrency: int = 1, include: str = "tests.celery_probe", **environment: str
) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """Run a worker as the Procfile does."""
    return celery(
        "worker", "--queues", "realtime,batch", "--concurrency", str(concurrency), "--include", include,
        "--without-gossip", "--without-mingle", "--without-heartbeat", url=url, **environment,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
