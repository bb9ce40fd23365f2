"""A pytest plugin (`-p tests.servers`) that runs the embedded servers from before Django's settings are read.

With `-n`, each worker of pytest-xdist has servers of its own: tests empty Redis.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest
from redis import Redis

from featurehub.devserver.local import local_environment
from featurehub.devserver.server import EmbeddedServerError

# Set in the environment of workers whose servers are embedded ones.
_EMBEDDED = "FEATUREHUB_TESTS_ARE_EMBEDDED"
_LOCAL = Path(__file__).resolve().parent.parent / ".local"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    if "PYTEST_XDIST_WORKER" in os.environ:
        _leave_servers_of_controller()
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        return
    os.environ[_EMBEDDED] = "1"
    folder = Path(os.environ.get("FEATUREHUB_LOCAL_DIR") or _LOCAL).resolve()
    os.environ["FEATUREHUB_LOCAL_DIR"] = str(stack.enter_context(_own_folder(folder)))
    try:
        stack.enter_context(local_environment())
    except EmbeddedServerError as error:
        raise pytest.UsageError(str(error)) from error
    # A run that was killed may have left data. No other program uses this server.
    Redis.from_url(os.environ["REDIS_URL"]).flushall()


def _leave_servers_of_controller() -> None:
    """Forget the servers in the environment, which are those of the process that started this worker."""
    if _EMBEDDED not in os.environ:
        raise pytest.UsageError("Tests run side by side on embedded servers only: unset DATABASE_URL and REDIS_URL.")
    del os.environ["DATABASE_URL"], os.environ["REDIS_URL"]


@contextmanager
def _own_folder(local: Path) -> Iterator[Path]:
    """Yield the first of the folders tests, tests-2, … that no other test run uses.

    Two runs in one folder would share their test database.
    """
    local.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = local / ("tests" if number == 1 else f"tests-{number}")
        with folder.with_suffix(".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield folder
            return
