"""POST events/ in batches of 1,000 against a COPY of as many such rows into the same table with its indexes."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import msgspec
from django.db import connection

from benchmarks import goals, peers, sending, servers
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from events.copy_text import copy_blocks
from events.partitions import make_partitions
from events.validation import NewEvent

EVENTS = scaled(60_000, least=2_000)
PER_REQUEST = 1_000
CONNECTIONS = 2
COPY = """
copy events_event (event_id, customer_id, event_type, "timestamp", session_id, amount, category, metadata) from stdin
"""


def run() -> list[Row]:
    """Return the row. BENCH_SCALE=10 sends a tenth of the events."""
    now = datetime.now(UTC)
    make_partitions(now - timedelta(days=3), until=now)
    copied, posted = list[float](), list[float]()
    with servers.featurehub(key=peers.reader_key(), pool="api") as server, ThreadPoolExecutor(CONNECTIONS) as threads:
        clients = [sending.Client(server) for _ in range(CONNECTIONS)]
        for _ in range(RUNS):
            copied.append(EVENTS / seconds_to_copy())
            bodies = list(sending.bodies(sending.make_events(EVENTS), size=PER_REQUEST))
            start = time.monotonic()
            list(threads.map(post_all, clients, [bodies[n::CONNECTIONS] for n in range(CONNECTIONS)]))
            posted.append(EVENTS / (time.monotonic() - start))
    return [
        Row(
            work=f"ingest over HTTP in batches of {PER_REQUEST:,}, one worker",
            figures=posted,
            unit="events/s",
            against="floor",
            references=copied,
            goal=goals.INGEST,
        )
    ]


def seconds_to_copy() -> float:
    """Return the seconds of a COPY of rows that are ready as bytes: no parsing, no validation, no duplicates."""
    blocks = list(copy_blocks(msgspec.convert(sending.make_events(EVENTS), list[NewEvent])))
    with connection.cursor() as cursor:
        start = time.monotonic()
        with cursor.copy(COPY) as copy:
            for block in blocks:
                copy.write(block)
        return time.monotonic() - start


def post_all(client: sending.Client, bodies: Sequence[bytes]) -> None:
    """Send the bodies one after the other."""
    for body in bodies:
        client.post_events(body)
