"""Stop, continue and find processes, those of the embedded servers among them."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from featurehub.devserver.server import Server


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, of any of its threads."""
    found = list[int]()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return found


def processes_of(server: Server) -> list[int]:
    """Return the server's process and its children, those of PostgreSQL's sessions among them."""
    pid = server.pid()
    assert pid is not None
    return [pid, *children_of(pid)]


@contextmanager
def frozen(*servers: Server) -> Iterator[None]:
    """Stop every process of the servers by SIGSTOP within the block: their kernel still takes connections and bytes."""
    with frozen_processes([pid for server in servers for pid in processes_of(server)]):
        yield


@contextmanager
def frozen_processes(pids: Sequence[int]) -> Iterator[None]:
    """Stop the processes within the block. Those that end meanwhile are no error."""
    send(signal.SIGSTOP, pids)
    try:
        yield
    finally:
        send(signal.SIGCONT, pids)


def send(number: signal.Signals, pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_and_wait(server: Server) -> None:
    """Send SIGKILL to the server's main process, and return when it is gone."""
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server.pid() is not None:
        time.sleep(0.01)
