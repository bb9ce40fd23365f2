"""Erasures while Valkey is frozen, under constant reads: after an answer that says "done" nobody reads a value."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
from redis import Redis

from features.online.layout import key_of, metadata_field, stamp_field, stamps
from features.online.scripts import PUBLISH
from features.online.store import PublishedVersion, encode_versions
from tests.at_once import PROJECT
from tests.outages.conftest import Site, wait_until
from tests.outages.readers import Answer, Web
from tests.signals import frozen
from tests.web_programs import path_of_programs, program

pytestmark = pytest.mark.alone

SECRET = 4711.0
SECONDS_FROZEN = 3.0
SECONDS_AFTERWARDS = 2.0
SECONDS_OF_A_SWEEP = 8.0
CONNECTIONS = 15


@dataclass(slots=True)
class Seen:
    """When reads began that were answered with the value, by customer, and the number of all reads."""

    began: dict[str, float] = field(default_factory=dict)
    reads: int = 0


@contextmanager
def constant_reads(customer_ids: list[str], *webs: Web) -> Iterator[Seen]:
    """Read the customers singly and together, through each web process, until the end of the block."""
    seen, is_over = Seen(), Event()

    def go_on(web: Web) -> None:
        while not is_over.is_set():
            for ask in (lambda: web.read_many(customer_ids), *[lambda c=c: web.read(c) for c in customer_ids]):
                began = time.monotonic()
                for part in values_in(ask()):
                    seen.reads += 1
                    if part["features"]["cart_value"] == SECRET:
                        seen.began[part["customer_id"]] = max(began, seen.began.get(part["customer_id"], 0.0))

    with ThreadPoolExecutor(2 * len(webs)) as threads:
        running = [threads.submit(go_on, web) for web in webs for _ in range(2)]
        try:
            yield seen
        finally:
            is_over.set()
    for each in running:
        each.result()


def values_in(answer: Answer) -> list[dict[str, Any]]:
    if answer.status != 200:
        return []
    return list(answer.body.get("results", [answer.body]))


@contextmanager
def workers(site: Site) -> Iterator[None]:
    """Run the Celery worker and beat of the Procfile until the end of the block."""
    environment = site.environment | {"PATH": path_of_programs()}
    with ExitStack() as stack:
        for name in ("worker", "beat"):
            log = stack.enter_context((site.folder / f"{name}.log").open("w"))
            stack.enter_context(program(name, environment=environment, output=log.fileno()))
        yield


def make_cached(site: Site, customer_ids: list[str]) -> dict[str, tuple[str, bytes]]:
    """Write the value of each customer, and wait until it is read from the cache. Return the publications as sent."""
    for customer_id in customer_ids:
        assert site.webs["api"].write(customer_id, SECRET).status == 200
        wait_until(lambda c=customer_id: site.webs["reads"].read(c).body["features"]["cart_value"] == SECRET)
    return {customer_id: publication(site.redis(), customer_id) for customer_id in customer_ids}


def publication(client: "Redis[bytes]", customer_id: str) -> tuple[str, bytes]:
    """Return the key and the document by which what Redis holds of the customer would be published a moment later."""
    key, kind = key_of(customer_id), "contextual"
    held = client.hget(key, stamp_field(kind))
    assert held
    moment, row, version = held.decode().split(" ")
    texts = {metadata_field(kind): ["{}"], "cart_value": [repr(SECRET)]}
    later, later_still = (
        encode_versions([PublishedVersion(kind, [stamp], texts)], slice(None))
        for stamp in stamps([int(moment) + 1, int(moment) + 2], row_ids=[int(row)] * 2, version=version)
    )
    assert client.eval(PUBLISH, 1, key, 3600, 60, later) == 1  # as it is sent late, without waiting for a reply
    return key, later_still


def connections_to(site: Site) -> list[Any]:
    return [site.redis().connection_pool.make_connection() for _ in range(CONNECTIONS)]


def send(late: dict[str, tuple[str, bytes]], *, connections: list[Any]) -> None:
    """Publish each of the customers on each connection, without waiting for a reply.

    While the server is frozen its kernel takes new connections, too, and what they send.
    """
    for connection in connections:
        if connection._sock is None:
            connection._sock = connection._connect()
        for key, document in late.values():
            for block in connection.pack_command("EVAL", PUBLISH, 1, key, 3600, 60, document):
                connection._sock.sendall(block)


def delete(web: Web, customer_id: str) -> Answer:
    return web.ask("DELETE", f"/api/v1/customers/{customer_id}/")


def erase_by_command(site: Site, customer_id: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(PROJECT / "manage.py"), "erase_customer", customer_id]
    return subprocess.run(command, env=site.environment, check=False, text=True, capture_output=True)


def erase_with_redis_frozen(site: Site, erase: Callable[[str], bool], again: Callable[[str], bool]) -> None:
    """Erase customers while Valkey is frozen, and then again until it is done.

    `erase` and `again` return whether the answer says so. Late publications are sent before, during and after.
    """
    names = [f"{name}{time.monotonic_ns()}" for name in ("a", "b")]
    late = make_cached(site, names)
    before, during = connections_to(site), connections_to(site)
    for connection in before:
        connection.connect()
    done: dict[str, float] = {}
    with workers(site), constant_reads(names, site.webs["reads"], site.webs["api"]) as seen:
        time.sleep(1.0)
        with frozen(site.valkey):
            send(late, connections=[*during, *before])
            for name in names:
                assert not erase(name)
            send(late, connections=before)
            time.sleep(SECONDS_FROZEN)
        for name in names:
            wait_until(lambda name=name: again(name))
            done[name] = time.monotonic()
        send(late, connections=before)
        time.sleep(SECONDS_AFTERWARDS)
    for connection in [*before, *during]:
        connection._sock.close()
    assert seen.reads > 100
    assert seen.began.keys() == set(names)  # there was something to see
    assert {name: began - done[name] for name, began in seen.began.items() if began > done[name]} == {}


def test_an_erasure_that_is_done_is_so_for_every_reader(site: Site, reads: Web, api: Web) -> None:
    def erase(name: str) -> bool:
        answer = delete(api, name)
        assert answer.status == (200 if answer.body["done"] else 202)
        assert answer.body["done"] == (answer.body["redis_keys"] is not None)
        return bool(answer.body["done"])

    erase_with_redis_frozen(site, erase, erase)


def test_an_erasure_by_command_that_is_done_is_so_for_every_reader(site: Site, reads: Web, api: Web) -> None:
    def erase(name: str) -> bool:
        ended = erase_by_command(site, name)
        assert (ended.returncode, "Not done yet" in ended.stderr) in ((0, False), (2, True))
        assert ("done: True" in ended.stdout) == (ended.returncode == 0)
        return ended.returncode == 0

    erase_with_redis_frozen(site, erase, lambda name: erase(name))


def test_workers_finish_an_erasure_as_soon_as_redis_is_back(site: Site, reads: Web, api: Web) -> None:
    name = f"d{time.monotonic_ns()}"
    make_cached(site, [name])
    with workers(site):
        with frozen(site.valkey):
            assert delete(api, name).status == 202
        assert value_of(reads, name) in (SECRET, None)
        held = f"customer_features:{name}"
        assert wait_until(lambda: not site.redis().hexists(held, "cart_value")) < SECONDS_OF_A_SWEEP
    assert value_of(reads, name) is None
    # A reader that has left Redis for a moment does not fill it: the next one does.
    assert wait_until(lambda: (value_of(api, name), value_of(reads, name)) == (0.0, 0.0)) < SECONDS_OF_A_SWEEP


def value_of(web: Web, customer_id: str) -> float | None:
    values = values_in(web.read(customer_id))
    return float(values[0]["features"]["cart_value"]) if values else None
