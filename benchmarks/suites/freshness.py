"""Time from the answer that accepts an event to its first appearance in a read, at 500 events a second.

One web worker, one Celery worker and beat, as the Procfile has them. Each request brings 50 events: 49 of random
customers and one of a new customer, which is read repeatedly until its page view counts.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from django_redis import get_redis_connection

from benchmarks import goals, peers, sending, servers
from benchmarks.load import Load, summary
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.servers import Server
from events.models import DirtyCustomer

PER_REQUEST = 50
REQUESTS_PER_SECOND = 10
REQUESTS = 1_000  # in a run, of which the first WARM_UP do not count
WARM_UP = 10
SECONDS_BETWEEN_READS = 0.05
SECONDS_TO_WAIT = 30.0


def run() -> list[Row]:
    """Return the row. BENCH_SCALE=10 sends a tenth of the requests."""
    # Nothing is left of an earlier benchmark: no mark, no message, no value.
    DirtyCustomer.objects.all().delete()
    get_redis_connection("default").flushdb()
    with servers.featurehub(key=peers.reader_key(), pool="api") as server, servers.celery():
        loads = [probe(server, requests=scaled(REQUESTS, least=2 * WARM_UP)) for _ in range(RUNS)]
    return [
        Row(
            work=f"event accepted → readable at {PER_REQUEST * REQUESTS_PER_SECOND} events/s, one worker: p99",
            figures=[load.p99_ms / 1e3 for load in loads],
            unit="s",
            goal=goals.SECONDS_UNTIL_READABLE,
            details={"p50_ms": [load.p50_ms for load in loads], "probes": loads[0].requests},
        )
    ]


def probe(server: Server, *, requests: int) -> Load:
    """Send the requests at their rate. Return the seconds until each one's new customer was readable."""
    start = time.monotonic()
    with ThreadPoolExecutor(64) as threads:
        sent = []
        for number in range(requests):
            time.sleep(max(0.0, start + number / REQUESTS_PER_SECOND - time.monotonic()))
            sent.append(threads.submit(seconds_until_readable, server, number))
        seconds = [each.result() for each in sent][WARM_UP:]
    return summary(seconds, errors=0, seconds=requests / REQUESTS_PER_SECOND)


def seconds_until_readable(server: Server, number: int) -> float:
    """Send one request and read its new customer until the event counts."""
    client = sending.Client(server)
    run = f"{datetime.now(UTC).timestamp():.3f}"
    new = f"probe-{run}-{number}"
    events = [*sending.make_events(PER_REQUEST - 1), sending.make_event(new, run=run, event_type="page_view")]
    for body in sending.bodies(events, size=PER_REQUEST):
        client.post_events(body)
    accepted = time.monotonic()
    while time.monotonic() - accepted < SECONDS_TO_WAIT:
        if client.value_of(new, "page_views_30d") == 1.0:
            break
        time.sleep(SECONDS_BETWEEN_READS)
    return time.monotonic() - accepted
