"""Things that happen at once, or in another process, on the `committed` database of a test."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TypeVar
from urllib.parse import urlsplit

from django.db import connection, connections

T = TypeVar("T")
PROJECT = Path(__file__).resolve().parents[1]
SET_UP = "import django; django.setup()\n"


def at_once(*functions: Callable[[], T]) -> Sequence[T]:
    """What the functions return, each started in a thread of its own with a connection of its own, all at one moment.

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


def in_a_child(function: Callable[[], object]) -> int:
    """The exit status of a forked process that runs the function with connections of its own; −9: it was killed."""
    connections.close_all()
    connection.close_pool()
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_a_process(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python code in a process that has Django, the test's database and Redis, and `environment` besides."""
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
    """The environment of another process that is to see what this test sees."""
    url = urlsplit(os.environ["DATABASE_URL"])
    name = connection.settings_dict["NAME"]
    return {
        **os.environ,
        "DATABASE_URL": url._replace(path=f"/{name}").geturl(),
        "DJANGO_SETTINGS_MODULE": "featurehub.settings",
        "PYTHONWARNINGS": "default",
    }
