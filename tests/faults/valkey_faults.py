"""Faults of the Valkey that holds the features."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from tests.faults.fault import BOTH, Fault
from tests.faults.site import Site
from tests.signals import frozen

SECONDS_FROZEN = 15.0
SECONDS_DEAD = 3.0
SECONDS_RESTORED = 1.5
SECONDS_WITHOUT_WRITES = 8.0
SECONDS_OF_A_PAUSE = 0.15
APPEND_ONLY = "appendonlydir"


@contextmanager
def client_of(site: Site) -> "Iterator[Redis[bytes]]":
    with Redis.from_url(site.valkey.url) as client:
        yield client


def kill_and_keep_data(site: Site) -> None:
    site.kill_server(site.valkey)
    time.sleep(SECONDS_DEAD)
    site.start_server(site.valkey)


def kill_and_lose_data(site: Site) -> None:
    site.kill_server(site.valkey)
    shutil.rmtree(site.valkey.home / APPEND_ONLY)
    time.sleep(SECONDS_DEAD)
    site.start_server(site.valkey)


def restore(site: Site) -> None:
    """Give it the data that it had a moment before it was killed, as when a disk loses what was not synced."""
    before = site.folder / "append only before"
    shutil.rmtree(before, ignore_errors=True)
    shutil.copytree(site.valkey.home / APPEND_ONLY, before)
    time.sleep(SECONDS_RESTORED)
    site.kill_server(site.valkey)
    shutil.rmtree(site.valkey.home / APPEND_ONLY)
    before.rename(site.valkey.home / APPEND_ONLY)
    site.start_server(site.valkey)


def freeze(site: Site) -> None:
    with frozen(site.valkey):
        time.sleep(SECONDS_FROZEN)


def fill_memory(site: Site) -> None:
    with client_of(site) as client:
        before = client.config_get("maxmemory*")
        client.config_set("maxmemory", 1, "maxmemory-policy", "noeviction")
        time.sleep(SECONDS_WITHOUT_WRITES)
        client.config_set("maxmemory", before["maxmemory"], "maxmemory-policy", before["maxmemory-policy"])


def fail_to_save(site: Site) -> None:
    """Let a snapshot fail, after which it refuses writes (MISCONF): a folder stands where the snapshot belongs."""
    obstacle = site.valkey.home / "dump.rdb" / "in the way"
    obstacle.mkdir(parents=True)
    with client_of(site) as client:
        client.config_set("save", "3600 1")
        client.bgsave()
        wait_for_save(client, status="err")
        time.sleep(SECONDS_WITHOUT_WRITES)
        shutil.rmtree(obstacle.parent)
        client.bgsave()
        wait_for_save(client, status="ok")
        client.config_set("save", "")


def wait_for_save(client: "Redis[bytes]", *, status: str) -> None:
    while client.info("persistence")["rdb_last_bgsave_status"] != status:
        time.sleep(0.02)


def make_a_replica(site: Site) -> None:
    """Make it a replica of a server that is not there: it answers reads and refuses writes (READONLY)."""
    with client_of(site) as client:
        client.replicaof("127.0.0.1", 1)
        time.sleep(SECONDS_WITHOUT_WRITES)
        client.replicaof("NO", "ONE")


def slow_down(site: Site) -> None:
    """Let it answer in bursts: commands wait for up to SECONDS_OF_A_PAUSE."""
    until = time.monotonic() + SECONDS_WITHOUT_WRITES
    with client_of(site) as client:
        while time.monotonic() < until:
            client.client_pause(round(1000 * SECONDS_OF_A_PAUSE))
            time.sleep(1.3 * SECONDS_OF_A_PAUSE)


FAULTS = (
    Fault(name="Valkey killed, data kept", act=kill_and_keep_data, shapes=BOTH, is_telling=True),
    Fault(name="Valkey killed, data gone", act=kill_and_lose_data, shapes=BOTH),
    Fault(name="Valkey restored to 1.5 s ago", act=restore, is_telling=True),
    Fault(name="Valkey frozen", act=freeze),
    Fault(name="Valkey's memory full", act=fill_memory),
    Fault(name="Valkey's disk full", act=fail_to_save),
    Fault(name="Valkey read-only", act=make_a_replica),
    Fault(name="Valkey slow", act=slow_down),
)
