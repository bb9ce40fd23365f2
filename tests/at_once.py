"""Concurrency in tests: threads and processes on the `committed` database."""

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import TypeVar
from urllib.parse import urlsplit

from django.db import connection, connections, transaction

T = TypeVar("T")
PROJECT = Path(__file__).resolve().parents[1]
SECONDS_AT_MOST = 20.0
# Of this database: other processes of the test run use others of the same server.
SOMEBODY_WAITS = """
select exists (
    select from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()
)
"""
SET_UP = "import django; django.setup()\n"


def at_once(*functions: Callable[[], T]) -> Sequence[T]:
    """Return the results of the functions, run at the same time in a thread and on a connection each.

    Raises what one of them raised.
    """
    start = Barrier(len(functions))

    def run(function: Callable[[], T]) -> T:
        try:
            start.wait()
            return function()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(run, functions))


def during(first: Callable[[], object], second: Callable[[], object]) -> None:
    """Run `second` while `first` has acted and not committed.

    `first` commits when `second` waits for a lock or has ended. Raises what one of them raised.
    """
    has_first_acted, has_second_ended = Event(), Event()

    def act_and_hold() -> None:
        with transaction.atomic():
            first()
            has_first_acted.set()
            end = time.monotonic() + SECONDS_AT_MOST
            while not (somebody_waits() or has_second_ended.wait(0.01)):
                assert time.monotonic() < end, "The second neither ends nor waits."

    def follow() -> None:
        try:
            assert has_first_acted.wait(SECONDS_AT_MOST)
            second()
        finally:
            has_second_ended.set()

    at_once(act_and_hold, follow)


def somebody_waits() -> bool:
    """Return whether any session waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(SOMEBODY_WAITS)
        return bool(cursor.fetchone()[0])


def in_a_child(function: Callable[[], object]) -> int:
    """Run the function in a forked process with connections of its own. Return its exit status; −9: it was killed."""
    connections.close_all()
    connection.close_pool()
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_a_process(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code in a process with Django set up, the test's database and Redis, and `environment` besides."""
    return subprocess.run(
        [sys.executable, "-c", SET_UP + code],
        cwd=PROJECT,
        env=environment_of_tests() | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment_of_tests() -> dict[str, str]:
    """Return the environment of another process that uses this test's database and Redis."""
    url = urlsplit(os.environ["DATABASE_URL"])
    name = connection.settings_dict["NAME"]
    return {
        **os.environ,
        "DATABASE_URL": url._replace(path=f"/{name}").geturl(),
        "DJANGO_SETTINGS_MODULE": "featurehub.settings",
        "PYTHONWARNINGS": "default",
    }
