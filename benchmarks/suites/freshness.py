"""Time from the answer that accepts an event to its first appearance in a read, at 500 events a second.

One web worker, one Celery worker and beat, as the Procfile has them. Each request brings 50 events: 49 of random
customers and one of a new customer. Every third new customer is read repeatedly until its page view counts.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from django_redis import get_redis_connection

from benchmarks import peers, sending, servers
from benchmarks.load import summary
from benchmarks.rows import Row
from benchmarks.servers import Server
from events.models import DirtyCustomer

PER_REQUEST = 50
REQUESTS_PER_SECOND = 10
REQUESTS = 400
REQUESTS_PER_PROBE = 3
WARM_UP = 10  # probes
SECONDS_BETWEEN_READS = 0.05
SECONDS_TO_WAIT = 30.0


def run() -> list[Row]:
    # Nothing is left of an earlier benchmark: no mark, no message, no value.
    DirtyCustomer.objects.all().delete()
    get_redis_connection("default").flushdb()
    with (
        servers.featurehub(key=peers.reader_key(), pool="api") as server,
        servers.celery(),
        ThreadPoolExecutor(64) as threads,
    ):
        start = time.monotonic()
        sent = []
        for number in range(REQUESTS):
            time.sleep(max(0.0, start + number / REQUESTS_PER_SECOND - time.monotonic()))
            is_probe = number % REQUESTS_PER_PROBE == 0
            sent.append(threads.submit(seconds_until_readable, server, number, wait=is_probe))
        seconds = [probe.result() for probe in sent[::REQUESTS_PER_PROBE]][WARM_UP:]
    load = summary(seconds, errors=0, seconds=REQUESTS / REQUESTS_PER_SECOND)
    return [
        Row(
            work=f"event accepted -> readable at {PER_REQUEST * REQUESTS_PER_SECOND} events/s, one worker: p99",
            figure=load.p99_ms,
            unit="ms",
            at_most=1_000.0,
            details={"p50_ms": load.p50_ms, "p99_ms": load.p99_ms, "probes": load.requests},
        )
    ]


def seconds_until_readable(server: Server, number: int, *, wait: bool) -> float:
    """Send one request and, to `wait`, read its new customer until the event counts."""
    client = sending.Client(server)
    run = f"{datetime.now(UTC).timestamp():.3f}"
    new = f"probe-{run}-{number}"
    events = [*sending.make_events(PER_REQUEST - 1), sending.make_event(new, run=run, event_type="page_view")]
    for body in sending.bodies(events, size=PER_REQUEST):
        client.post_events(body)
    accepted = time.monotonic()
    while wait and time.monotonic() - accepted < SECONDS_TO_WAIT:
        if client.value_of(new, "page_views_30d") == 1.0:
            break
        time.sleep(SECONDS_BETWEEN_READS)
    return time.monotonic() - accepted
