"""import_events from each format beside a COPY of the same rows into the same table with its indexes."""

import csv
import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from django.db import connection, transaction

from benchmarks import goals
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from events.event_types import EVENT_TYPES
from events.imports.batches import read_batches
from events.imports.importing import import_events, open_events
from events.partitions import make_partitions
from events.registered_types import event_types
from featurehub.files.rejections import RejectedFile
from featurehub.lib.gc_tuning import gc_disabled, short_switch_interval

EVENTS = 300_000
CUSTOMERS = 10_000
DAYS = 40
COLUMNS = ("event_id", "customer_id", "event_type", "timestamp", "session_id", "amount", "category", "metadata")
COPY = f"copy events_event ({', '.join(COLUMNS)}) from stdin"


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=10 takes a tenth of the events."""
    events = scaled(EVENTS)
    make_partitions(datetime.now(UTC) - timedelta(days=DAYS), until=datetime.now(UTC))
    with TemporaryDirectory() as folder:
        files = write_files(Path(folder), events=events)
        blocks = [
            block
            for batch in read_batches(open_events(files[0]), types=event_types.get())
            for block in batch.bulk.blocks
        ]
        pieces: dict[str, Callable[[], object]] = {"COPY": lambda: bare_copy(blocks)}
        pieces |= {path.suffix: imported(path) for path in files}
        rates = {name: [events / each for each in seconds] for name, seconds in timed(pieces).items()}
    empty()
    return [
        Row(
            work=f"import_events of {events:,} rows, {path.suffix}",
            figures=rates[path.suffix],
            unit="rows/s",
            against="floor",
            references=rates["COPY"],
            goal=goals.IMPORT,
        )
        for path in files
    ]


def write_files(folder: Path, *, events: int) -> list[Path]:
    """Write the same events in each format, in the order of a log: by time, customers mixed. Return the paths."""
    rows = list(made(events))
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    csv_path, json_path, parquet_path = (folder / f"events{ending}" for ending in (".csv", ".jsonl", ".parquet"))
    with csv_path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    with json_path.open("w") as file:
        for *fields, amount, category, metadata in rows:
            event = dict(zip(COLUMNS, fields, strict=False), metadata=json.loads(metadata))
            known = {"amount": amount, "category": category}
            event["metadata"] |= {name: value for name, value in known.items() if value is not None}
            file.write(json.dumps(event) + "\n")
    moments = pa.array([datetime.fromisoformat(text) for text in columns["timestamp"]], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({**columns, "timestamp": moments}), parquet_path)
    return [csv_path, json_path, parquet_path]


def made(events: int) -> Iterator[tuple[object, ...]]:
    """Yield COLUMNS of events as a shop would log them, the same at every run except for the day."""
    draw = random.Random(1)
    first = datetime.now(UTC) - timedelta(days=DAYS)
    for number in range(events):
        event_type = draw.choices(EVENT_TYPES, weights=(60, 12, 6, 6, 6, 10))[0]
        customer = draw.randrange(CUSTOMERS)
        moment = first + timedelta(days=DAYS) * number / events
        yield (
            f"e{number:08d}", f"customer-{customer:06d}", event_type, moment.isoformat(),
            f"{customer}-{moment:%j}", round(draw.uniform(1, 100), 2) if event_type == "purchase" else None,
            f"category {draw.randrange(12)}" if event_type in ("purchase", "page_view") else None,
            json.dumps({"path": f"/articles/{draw.randrange(1000)}"} if event_type == "page_view" else {}),
        )  # fmt: skip


def timed(pieces: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the seconds that each piece takes on an empty table in each run, in turn."""
    measured: dict[str, list[float]] = {name: [] for name in pieces}
    for _ in range(RUNS):
        for name, work in pieces.items():
            empty()
            start = time.perf_counter()
            work()
            measured[name].append(time.perf_counter() - start)
    return measured


def empty() -> None:
    """Empty the tables of events, and write PostgreSQL's dirty pages."""
    with connection.cursor() as cursor:
        cursor.execute("truncate events_event, events_dirtycustomer")
        cursor.execute("checkpoint")


def bare_copy(blocks: list[bytes]) -> None:
    """Copy the blocks into the table of events."""
    with transaction.atomic(), connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for block in blocks:
            copy.write(block)


def imported(path: Path) -> Callable[[], object]:
    """Return a function that imports the file."""

    def work() -> None:
        with gc_disabled(), short_switch_interval(), RejectedFile(path) as rejected:  # as the command does
            done = import_events(open_events(path), rejected=rejected)
        assert done.rejected == done.duplicates == 0

    return work
