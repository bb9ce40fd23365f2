"""import_features from each format beside a COPY of the same rows into the history with its indexes."""

import csv
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from django.db import connection, transaction

from benchmarks import goals
from benchmarks.events import DELETE_VALUES
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.spent import spent
from featurehub.files.rejections import RejectedFile
from featurehub.lib.gc_tuning import gc_disabled, short_switch_interval
from features.imports.sessions import some_sessions
from features.imports.staging import stage_rows
from features.imports.value_files import open_values
from features.imports.writing import write_staged

CUSTOMERS = 300_000
COLUMNS = ("customer_id", "timestamp", "tenure_days", "loyalty_tier")
COPY = """
copy features_customerfeature (customer_id, feature_type, version, "timestamp", features, metadata) from stdin
"""
REGISTER = "insert into features_customer (customer_id) select unnest(%s::text[])"
FORGET = "truncate features_customerfeature, features_publication, events_dirtycustomer"


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=10 takes a tenth of the customers."""
    rows = list(made(scaled(CUSTOMERS)))
    with connection.cursor() as cursor:
        cursor.execute(DELETE_VALUES)
        cursor.execute(REGISTER, [[row[0] for row in rows]])
        cursor.execute("vacuum analyze features_customer")
    with TemporaryDirectory() as folder:
        files = write_files(Path(folder), rows=rows)
        pieces: dict[str, Callable[[], object]] = {"COPY": bare_copy(rows)}
        pieces |= {path.suffix: imported(path) for path in files}
        rates: dict[str, list[float]] = {name: [] for name in (*pieces, "again")}
        for _ in range(RUNS):
            for name, work in pieces.items():
                rates[name].append(rate_of(work, rows=len(rows), begin=empty))
            rates["again"].append(rate_of(imported(files[-1]), rows=len(rows), begin=lambda: None))
    empty()
    works = {**{path.suffix: path.suffix for path in files}, "again": f"{files[-1].suffix}, again and unchanged"}
    return [
        Row(
            work=f"import_features of {len(rows):,} rows, {said}",
            figures=rates[name],
            unit="rows/s",
            against="floor",
            references=rates["COPY"],
            goal=goals.IMPORT_FEATURES,
        )
        for name, said in works.items()
    ]


def made(customers: int) -> Iterator[tuple[str, str, float, float]]:
    """Yield COLUMNS of customers in no order, the same at every run except for the moment."""
    draw = random.Random(1)
    moment = datetime.now(UTC).isoformat()
    for number in draw.sample(range(customers), customers):
        yield f"customer-{number:08d}", moment, float(draw.randrange(4_000)), draw.random()


def write_files(folder: Path, *, rows: list[tuple[str, str, float, float]]) -> list[Path]:
    """Write the rows in each format. Return the paths."""
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    csv_path, json_path, parquet_path = (folder / f"values{ending}" for ending in (".csv", ".jsonl", ".parquet"))
    with csv_path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    with json_path.open("w") as file:
        file.writelines(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows)
    moments = pa.array([datetime.fromisoformat(text) for text in columns["timestamp"]], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({**columns, "timestamp": moments}), parquet_path)
    return [csv_path, json_path, parquet_path]


def rate_of(work: Callable[[], object], *, rows: int, begin: Callable[[], object]) -> float:
    """Return the rows a second of a work."""
    begin()
    with spent() as cost:
        work()
    return rows / cost.wall


def empty() -> None:
    """Empty the history, and write PostgreSQL's dirty pages."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET)
        cursor.execute("checkpoint")


def bare_copy(rows: list[tuple[str, str, float, float]]) -> Callable[[], object]:
    """Return a function that copies the rows into the history, in the order of the file."""
    block = "".join(
        f'{customer_id}\tcustomer\t1.0\t{moment}\t{{"tenure_days": {days}, "loyalty_tier": {tier}}}\t{{}}\n'
        for customer_id, moment, days, tier in rows
    ).encode()

    def work() -> None:
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy(COPY) as copy:
            for start in range(0, len(block), 1 << 20):
                copy.write(block[start : start + (1 << 20)])

    return work


def imported(path: Path) -> Callable[[], object]:
    """Return a function that imports the file."""

    def work() -> None:
        with gc_disabled(), short_switch_interval(), RejectedFile(path) as rejected:  # as the command does
            file = open_values(path, feature_type="customer", version="1.0")
            with some_sessions(file.sessions) as sessions:
                staged = stage_rows(file.rows, sessions=sessions, bounds=file.bounds, rejected=rejected)
                write_staged(file, sessions=sessions, rejected=rejected)
        assert not staged.rejected

    return work
