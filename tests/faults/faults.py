"""The faults: each begins, lasts and ends within one function, which returns when everything could be well again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from redis import Redis

from featurehub.devserver.server import Server
from tests.faults.site import Site

SECONDS_FROZEN = 15.0
SECONDS_DEAD = 3.0
SECONDS_RESTORED = 1.5
APPEND_ONLY = "appendonlydir"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault by name, the statuses that it may cause besides 2xx, 404 and 503, and the shapes that it is tried in."""

    name: str
    act: Callable[[Site], None]
    allowed: frozenset[int] = frozenset()
    shapes: tuple[str, ...] = ("apart",)
    is_telling: bool = False  # one of the few that every run of the tests tries


# --- Means ------------------------------------------------------------------------------------------------------------


def processes_of(server: Server) -> list[int]:
    """Return the server's process and its children, those of PostgreSQL's sessions among them."""
    pid = server.pid()
    assert pid is not None
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return [pid, *map(int, children.split())]


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Stop every process of the server within the block: its kernel still takes connections and bytes."""
    pids = processes_of(server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def redis(site: Site) -> "Redis[bytes]":
    return Redis.from_url(site.valkey.url)


# --- Valkey -----------------------------------------------------------------------------------------------------------


def kill_valkey_and_keep_its_data(site: Site) -> None:
    site.kill_server(site.valkey)
    time.sleep(SECONDS_DEAD)
    site.start_server(site.valkey)


def kill_valkey_and_lose_its_data(site: Site) -> None:
    site.kill_server(site.valkey)
    shutil.rmtree(site.valkey.home / APPEND_ONLY)
    time.sleep(SECONDS_DEAD)
    site.start_server(site.valkey)


def restore_valkey(site: Site) -> None:
    """Let Valkey have the data that it had a moment before it was killed, as when a disk loses what was not synced."""
    before = site.folder / "append only before"
    shutil.rmtree(before, ignore_errors=True)
    shutil.copytree(site.valkey.home / APPEND_ONLY, before)
    time.sleep(SECONDS_RESTORED)
    site.kill_server(site.valkey)
    shutil.rmtree(site.valkey.home / APPEND_ONLY)
    before.rename(site.valkey.home / APPEND_ONLY)
    site.start_server(site.valkey)


def freeze_valkey(site: Site) -> None:
    with frozen(site.valkey):
        time.sleep(SECONDS_FROZEN)


FAULTS = [
    Fault(name="no fault", act=lambda site: time.sleep(5.0), shapes=("apart", "make run")),
    Fault(name="Valkey killed, data kept", act=kill_valkey_and_keep_its_data, shapes=("apart", "make run")),
    Fault(name="Valkey killed, data gone", act=kill_valkey_and_lose_its_data),
    Fault(name="Valkey restored to 1.5 s ago", act=restore_valkey, is_telling=True),
    Fault(name="Valkey frozen", act=freeze_valkey),
]
