"""Cached reads go on whatever slow clients, a locked PostgreSQL or a killed pool do to the other web processes."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from featurehub.access.models import Scope
from tests.at_once import environment_of_tests
from tests.factories import make_client, make_customer, url_of
from tests.readers import Reads, steady_reads
from tests.web_programs import WebPrograms, web_programs

pytestmark = pytest.mark.alone

CLIENTS = 200
SECONDS = 6.0
READ = url_of("c1") + "?names=page_views_30d,engagement_score"
LONGEST = 2.0
P99 = 0.05
# A read takes several processes, each of which waits for a processor on a machine that is busy with other work.
TURNS = 5


@pytest.fixture
def key(committed: None) -> str:
    """Return a key with every scope. Customer c1 is in Redis."""
    client = make_client(*Scope.values)
    make_customer("c1", page_view=3)
    assert client.get(READ).status_code == 200
    return str(client.defaults["HTTP_AUTHORIZATION"]).removeprefix("Api-Key ")


@pytest.fixture
def programs(key: str, tmp_path: Path) -> Iterator[WebPrograms]:
    with web_programs(tmp_path) as programs:
        for _ in range(20):  # the first ones load what the others have in memory
            assert programs.status_of("GET", READ, key=key) == 200
        yield programs


def sending_headers(port: int, key: str) -> socket.socket:
    """Begin a request whose header comes byte by byte."""
    return request(port, f"GET {READ} HTTP/1.1\r\nX-Slow: ")


def owing_a_form(port: int, key: str) -> socket.socket:
    """Send a login without its body."""
    cookie = f"Cookie: csrftoken={'x' * 32}\r\n"
    return request(port, f"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookie}Content-Length: 1000\r\n\r\n")


def owing_events(port: int, key: str) -> socket.socket:
    """Send the first half of a body of events."""
    head = f"POST /api/v1/events/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Api-Key {key}\r\n"
    return request(port, f'{head}Content-Length: 4000\r\n\r\n{{"events": [{" " * 2000}')


def never_reading(port: int, key: str) -> socket.socket:
    """Ask for a large answer, and read nothing of it."""
    body = json.dumps({"customer_ids": [f"c{n}" for n in range(100)], "names": [f"name_{n}" for n in range(100)]})
    head = f"POST /api/v1/features/batch/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Api-Key {key}\r\n"
    return request(port, f"{head}Content-Length: {len(body)}\r\n\r\n{body}", receive_buffer=4096)


def request(port: int, text: str, *, receive_buffer: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    client.sendall(text.encode())
    return client


@contextmanager
def slow_clients(port: int, *, kind: Callable[[int, str], socket.socket], key: str) -> Iterator[list[socket.socket]]:
    """Keep CLIENTS of a kind until the end of the block; those that owe a header send a byte of it now and then."""
    clients = [kind(port, key) for _ in range(CLIENTS)]
    over = threading.Event()

    def trickle() -> None:
        while kind is sending_headers and not over.wait(0.5):
            for client in clients:
                with suppress(OSError):
                    client.send(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield clients
    finally:
        over.set()
        thread.join()
        for client in clients:
            client.close()


def assert_quick(reads: Reads, *during: str) -> None:
    assert reads.failures == [], during
    assert reads.longest < LONGEST, during
    assert reads.p99 < P99 + TURNS * reads.delay, during


def test_slow_clients_of_any_kind_do_not_slow_reads_down(programs: WebPrograms, key: str) -> None:
    for kind in (sending_headers, owing_a_form, owing_events, never_reading):
        with slow_clients(programs.port, kind=kind, key=key) as clients:
            programs.status_of("GET", READ, key=key)  # behind all large answers: those are computed now, and not read
            with steady_reads(programs.port, paths=[READ], key=key, seconds=SECONDS) as reads:
                for path in ("/healthz", "/readyz", "/admin/login/"):
                    assert programs.status_of("GET", path) == 200
            if kind is not never_reading:
                assert_all_are_closed(clients, seconds=15.0)
        assert_quick(reads, kind.__name__)


def assert_all_are_closed(clients: list[socket.socket], *, seconds: float) -> None:
    """Assert that the front closes every connection that owes it something."""
    deadline = time.monotonic() + seconds
    for client in clients:
        client.settimeout(max(0.1, deadline - time.monotonic()))
        with suppress(ConnectionError):
            assert client.recv(1_000) == b""


def test_misses_that_wait_for_postgresql_do_not_hold_up_hits(programs: WebPrograms, key: str) -> None:
    statuses: list[int] = []

    def ask_for_misses(number: int) -> None:
        for turn in range(3):
            statuses.append(programs.status_of("GET", url_of(f"miss-{number}-{turn}"), key=key))

    with psycopg.connect(environment_of_tests()["DATABASE_URL"]) as other:
        other.execute("lock table features_customer, features_customerfeature in access exclusive mode")
        threads = [threading.Thread(target=ask_for_misses, args=(number,)) for number in range(8)]
        with steady_reads(programs.port, paths=[READ], key=key, seconds=SECONDS) as reads:
            for thread in threads:
                thread.start()
            assert programs.status_of("GET", "/healthz") == 200
        other.rollback()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 503}
    assert_quick(reads)


def test_without_the_reads_pool_the_api_pool_answers_reads(programs: WebPrograms, key: str) -> None:
    with steady_reads(programs.port, paths=[READ], key=key, seconds=4.0) as reads:
        time.sleep(1.0)
        programs.kill("reads")
    assert reads.failures == []
    assert reads.longest < LONGEST
    assert programs.status_of("GET", "/healthz") == 200
