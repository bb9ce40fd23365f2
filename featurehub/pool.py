"""Run a pool of web processes, granian on a Unix socket in FEATUREHUB_LOCAL_DIR: `python -m featurehub.pool reads`.

Further options are granian's; with `--port` it listens there instead, for tests and benchmarks without a front.
"""

import argparse
import fcntl
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

POOLS = ("reads", "api", "admin")
# The kernel's limits are 107 (Linux) and 103 (macOS).
LONGEST_SOCKET_PATH = 103
COMMAND = (
    *("granian", "--interface", "wsgi", "--http", "1", "--no-ws", "--log-level", "warning"),
    *("--respawn-failed-workers", "featurehub.wsgi:application"),
)
# The system's resolver has no limit of our own making, and by itself asks each name server twice for 5 s.
RESOLVER_OPTIONS = "timeout:1 attempts:1"


class PoolRefused(Exception):
    """A pool that can't start here; the message is a sentence that says how to solve that."""


def run_pool(arguments: Sequence[str]) -> NoReturn:
    """Become granian. A pool that can't start ends with status 1 and a sentence."""
    parser = argparse.ArgumentParser(prog="python -m featurehub.pool", description=__doc__, allow_abbrev=False)
    parser.add_argument("pool", choices=POOLS)
    options, others = parser.parse_known_args(arguments)
    os.environ["FEATUREHUB_POOL"] = options.pool
    os.environ.setdefault("RES_OPTIONS", RESOLVER_OPTIONS)
    if "--port" not in others:
        try:
            others += ["--uds", str(free_socket(options.pool))]
        except PoolRefused as error:
            sys.exit(str(error))
    os.execvp(COMMAND[0], [*COMMAND, *others])  # noqa: S606 - a shell has no part in it


def free_socket(pool: str) -> Path:
    """Return the path of the pool's socket, where nothing is left of an earlier run that was killed.

    Raise PoolRefused if another process has it. The lock is granian's, since it has the descriptor; the kernel releases
    it however granian ends.
    """
    path = socket_path(pool)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PoolRefused(
            f"Another process serves {path}: stop it, or set FEATUREHUB_LOCAL_DIR to another folder."
        ) from None
    os.set_inheritable(lock, True)
    path.unlink(missing_ok=True)
    return path


def socket_path(pool: str) -> Path:
    """Return the absolute path of a pool's socket. Raise PoolRefused if it is too long for one."""
    folder = Path(os.environ.get("FEATUREHUB_LOCAL_DIR") or ".local").resolve()
    path = folder / f"{pool}.sock"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise PoolRefused(
            f"FEATUREHUB_LOCAL_DIR is too long for a socket in it: {folder} has {len(os.fsencode(folder))} bytes, "
            f"and at most {LONGEST_SOCKET_PATH - len(max(POOLS, key=len)) - len('/.sock')} are possible."
        )
    return path


if __name__ == "__main__":
    run_pool(sys.argv[1:])
