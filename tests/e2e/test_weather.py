"""Reads go on in any weather: a complete FeatureHub under 200 reads a second, one fault after the other."""

import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from featurehub.devserver.postgres import Postgres
from featurehub.devserver.valkey import Valkey
from tests.e2e.conftest import Stack, running_stack
from tests.readers import steady_reads
from tests.signals import frozen, kill_and_wait

pytestmark = pytest.mark.alone

SECONDS_OF_A_FAULT = 8.0
SECONDS_AROUND_IT = 2.0
MOST_SECONDS_OF_A_READ = 2.0
MOST_SECONDS_OF_A_CACHED_READ = 0.05  # at the 99th percentile
TIMES_AS_SLOW_AS_CALM = 3.0
SLOW_CLIENTS = 200
GUESSERS = 8
# A draft with more windowed features than PostgreSQL takes arguments for in one function, put into shadow.
LARGE_DRAFT = """
from features.lifecycle import drafts, version_steps
from features.models import FeatureDefinition
draft = drafts.draft_version("behavioral", "2.0", by=None, reason="A large draft")
drafts.add_definitions(draft.pk, [
    FeatureDefinition.objects.create(
        name=f"views_{days}d", feature_type="behavioral", description="Page views", kind="count",
        event_type="page_view", window_hours=24 * days,
    )
    for days in range(1, 52)
], by=None)
version_steps.put_into_shadow(draft.pk, by=None, reason="A large draft")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the reads while a fault lasted: their waits in seconds, in order."""

    fault: str
    waits: Sequence[float]
    cached: Sequence[float]
    refused: int
    broken: int

    def describe(self) -> str:
        p99 = f"{1000 * percentile(self.cached, 0.99):.1f}" if self.cached else "–"
        return (
            f"{self.fault:<28} | {len(self.waits):>5} | {len(self.cached):>6} | {p99:>8} | "
            f"{1000 * max(self.waits):>7.0f} | {self.refused:>7} | {self.broken:>6}"
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run an instance of its own: the faults would disturb other tests."""
    with running_stack(tmp_path_factory.mktemp("weather"), log_name="weather.log") as stack:
        yield stack


@pytest.mark.skipif("WEATHER" not in os.environ, reason="It needs a machine to itself: make test-weather.")
@pytest.mark.timeout(900)
def test_reads_go_on_in_any_weather(stack: Stack) -> None:
    faults: dict[str, Callable[[Stack], object]] = {
        "no fault": calm,
        "200 slow headers": slow_headers,
        "200 logins without a body": logins_without_body,
        "200 half-sent events": half_sent_events,
        "200 readers of nothing": readers_of_nothing,
        "8 password guessers": password_guessers,
        "PostgreSQL frozen": frozen_postgres,
        "PostgreSQL killed": killed_postgres,
        "Redis frozen": frozen_redis,
        "Redis killed": killed_redis,
        "51 features into shadow": large_draft,
    }
    paths = [f"/api/v1/customers/{customer}/features/?names=engagement_score" for customer in some_customers(stack)]
    outcome_of("warm-up", calm, stack=stack, paths=paths)
    outcomes = [outcome_of(name, fault, stack=stack, paths=paths) for name, fault in faults.items()]
    print("\nfault                        | reads | cached | p99 (ms) | longest | refused | broken")
    print("\n".join(outcome.describe() for outcome in outcomes))
    too_long = [row.describe() for row in outcomes if max(row.waits) > MOST_SECONDS_OF_A_READ]
    # While Redis is away nothing is cached, and when it comes back everybody who has waited reads at once.
    steady = [row for row in outcomes if not row.fault.startswith("Redis")]
    # A machine that is busy with other things is slow without any fault, too.
    most = max(MOST_SECONDS_OF_A_CACHED_READ, TIMES_AS_SLOW_AS_CALM * percentile(outcomes[0].cached, 0.99))
    slow = [row.describe() for row in steady if percentile(row.cached, 0.99) > most]
    assert (too_long, slow) == ([], [])
    assert [row.fault for row in outcomes if row.broken] == []
    assert [row.fault for row in outcomes if not row.cached] == []
    wait_until_computed(stack)


def outcome_of(name: str, fault: Callable[[Stack], object], *, stack: Stack, paths: Sequence[str]) -> Outcome:
    """Return what became of the reads from shortly before the fault until shortly after it."""
    port = int(stack.url.rpartition(":")[2])
    seconds = SECONDS_OF_A_FAULT + 2 * SECONDS_AROUND_IT
    with steady_reads(port, paths=paths, key=stack.key, seconds=seconds) as reads:
        time.sleep(SECONDS_AROUND_IT)
        fault(stack)
    return Outcome(
        fault=name,
        waits=sorted(line.waited for line in reads.lines),
        cached=sorted(line.waited for line in reads.lines if line.source == "cache"),
        refused=sum(line.status == 503 for line in reads.lines),
        broken=sum(line.status not in (200, 503) for line in reads.lines),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed; 0 where there are none."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else 0.0


def some_customers(stack: Stack) -> list[str]:
    code = (
        "from features.models import Customer\n"
        "print(*Customer.objects.order_by('customer_id').values_list('customer_id', flat=True)[:100], sep='\\n')"
    )
    return stack.manage("shell", "--no-imports", "--command", code).split()


# --- Faults -----------------------------------------------------------------------------------------------------------


def calm(stack: Stack) -> None:
    time.sleep(SECONDS_OF_A_FAULT)


def slow_headers(stack: Stack) -> None:
    drip(stack, b"GET /healthz HTTP/1.1\r\n")


def logins_without_body(stack: Stack) -> None:
    drip(stack, login_head(length=1000))


def half_sent_events(stack: Stack) -> None:
    drip(stack, head("POST /api/v1/events/", f"Authorization: Api-Key {stack.key}", "Content-Length: 1000") + b"{")


def readers_of_nothing(stack: Stack) -> None:
    """Request the largest answer that there is, again and again, and read nothing."""
    drip(stack, head("GET /api/schema/") * 3)


def drip(stack: Stack, beginning: bytes) -> None:
    """Open SLOW_CLIENTS connections, send the beginning, then a byte a second as far as the server takes it."""
    with ExitStack() as connections:
        clients = [connections.enter_context(connection_to(stack)) for _ in range(SLOW_CLIENTS)]
        for client in clients:
            client.sendall(beginning)
        until = time.monotonic() + SECONDS_OF_A_FAULT
        while time.monotonic() < until:
            time.sleep(1)
            for client in clients:
                try:
                    client.send(b"x", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                except OSError:
                    continue  # closed by the server, or full


@contextmanager
def connection_to(stack: Stack) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(stack.url.rpartition(":")[2])), timeout=10) as client:
        yield client


def head(request: str, *headers: str) -> bytes:
    return "\r\n".join([f"{request} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


def login_head(*, length: int) -> bytes:
    token = "a" * 32
    kind = "Content-Type: application/x-www-form-urlencoded"
    return head("POST /admin/login/", f"Cookie: csrftoken={token}", kind, f"Content-Length: {length}")


def password_guessers(stack: Stack) -> None:
    until = time.monotonic() + SECONDS_OF_A_FAULT

    def guess(number: int) -> None:
        while time.monotonic() < until:
            body = f"csrfmiddlewaretoken={'a' * 32}&username=admin&password=guess{number}"
            with connection_to(stack) as client:
                client.sendall(login_head(length=len(body)) + body.encode())
                client.recv(1000)

    with ThreadPoolExecutor(GUESSERS) as threads:
        list(threads.map(guess, range(GUESSERS)))


def frozen_postgres(stack: Stack) -> None:
    with frozen(Postgres(folder_of(stack) / "postgres")):
        time.sleep(SECONDS_OF_A_FAULT)


def frozen_redis(stack: Stack) -> None:
    with frozen(Valkey(folder_of(stack) / "valkey")):
        time.sleep(SECONDS_OF_A_FAULT)


def killed_postgres(stack: Stack) -> None:
    """Kill the server; the supervisor starts another."""
    kill_and_wait(Postgres(folder_of(stack) / "postgres"))
    time.sleep(SECONDS_OF_A_FAULT)


def killed_redis(stack: Stack) -> None:
    kill_and_wait(Valkey(folder_of(stack) / "valkey"))
    time.sleep(SECONDS_OF_A_FAULT)


def folder_of(stack: Stack) -> Path:
    return Path(stack.environment["FEATUREHUB_LOCAL_DIR"])


def large_draft(stack: Stack) -> None:
    """Put a draft with 51 windowed features into shadow; nothing waits for it that is live."""
    until = time.monotonic() + SECONDS_OF_A_FAULT
    stack.manage("shell", "--no-imports", "--command", LARGE_DRAFT)
    time.sleep(max(until - time.monotonic(), 0.0))


# --- After the faults -------------------------------------------------------------------------------------------------


def wait_until_computed(stack: Stack) -> None:
    """Send an event and return when it shows in the values; within seconds, whatever is in shadow."""
    customer = f"after-the-storm-{time.time_ns()}"
    event = {"customer_id": customer, "event_type": "login", "timestamp": datetime.now(UTC).isoformat()}
    with stack.api() as client:
        assert client.post("/api/v1/events/", json={"events": [event]}).status_code == 201
        until = time.monotonic() + 20
        while client.get(f"/api/v1/customers/{customer}/features/?names=login_frequency").json()["features"] != {
            "login_frequency": 1.0
        }:
            assert time.monotonic() < until, "The event does not show in the values."
            time.sleep(0.2)
