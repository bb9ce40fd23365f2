"""The import itself: the rows of a file in batches, the good ones ingested, the bad ones listed beside the file."""

import csv
import gc
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import pyarrow as pa
from django.db import connection

from events.imports.parquet_files import ParquetFile
from events.imports.rejections import RejectedFile, Rejection
from events.imports.text_files import CsvFile, JsonLinesFile
from events.ingest import Ingested
from events.loading import load
from events.partitions import oldest_kept
from events.tombstones import ERASED, erased_among
from events.validation import NewEvent, check, check_together
from featurehub.errors import InvalidError

T = TypeVar("T")
ROWS_PER_BATCH = 30_000
Progress = Callable[[int], object]

encode = msgspec.json.Encoder().encode


class EventFile(Protocol):
    """A row is what the format reads: cells, a line, values. One that is empty is a blank line."""

    total: int  # about how many rows there are

    def rows(self) -> Iterator[Any]: ...

    def event(self, row: Any) -> NewEvent:
        """The row as an event of the right types. Raises InvalidError."""

    def events(self, rows: list[Any]) -> list[NewEvent]:
        """The same of many rows. Raises InvalidError where one of them is none."""

    def described(self, row: Any) -> Any:
        """The row as it is listed where it is rejected."""


FORMATS: dict[str, Callable[[Path], EventFile]] = {".csv": CsvFile, ".jsonl": JsonLinesFile, ".parquet": ParquetFile}


@dataclass(slots=True, kw_only=True)
class Imported:
    """How many rows were stored, were there already, and could not be taken."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


@dataclass(slots=True)
class Batch:
    """Rows by number, the events of the good ones in the same order, and what is wrong with the others."""

    size: int
    rows: list[tuple[int, Any]] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def open_events(path: Path) -> EventFile:
    """Raises InvalidError with a sentence for a file that can't be read as events at all."""
    open_format = FORMATS.get(path.suffix.lower())
    if open_format is None:
        raise InvalidError(f"{path} ends with none of {', '.join(FORMATS)}: the ending says how a file is read.")
    if not path.is_file():
        raise InvalidError(f"{path} is {'a folder' if path.is_dir() else 'not there'}: name a file of events.")
    try:
        return open_format(path)
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise InvalidError(f"{path} can't be read: {error}") from None


def import_events(file: EventFile, *, rejected: RejectedFile, progress: Progress = lambda rows: None) -> Imported:
    """Ingests the good rows of the file, a transaction a batch, and lists the bad ones. `progress` is told of rows.

    Safe to run again, also after it was interrupted: an event counts once, and a row without an event_id gets one
    that depends on its number and content only. Raises InvalidError where the file breaks off being readable.
    """
    imported = Imported()
    with flushed_at_the_end(), uncollected():
        for batch in prefetched(batches(file)):
            ingested = store(batch, file=file)
            for rejection in sorted(batch.rejections, key=lambda rejection: rejection.number):
                rejected.add(rejection)
            imported.accepted += ingested.accepted
            imported.duplicates += ingested.duplicates
            imported.rejected += len(batch.rejections)
            progress(batch.size)
    return imported


@contextmanager
def flushed_at_the_end() -> Iterator[None]:
    """The commits in the block do not wait for the disk; the one after them does, and so for all of them."""
    with connection.cursor() as cursor:
        cursor.execute("set synchronous_commit = off")
        try:
            yield
        finally:
            cursor.execute("reset synchronous_commit")
            cursor.execute("select pg_current_xact_id()")


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection in the block: rows make no cycles, and looking for some takes as long as reading rows."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def batches(file: EventFile) -> Iterator[Batch]:
    """The file's rows, checked."""
    rows = enumerate(file.rows(), start=1)
    try:
        while some := list(islice(rows, ROWS_PER_BATCH)):
            yield checked(some, file=file, now=datetime.now(UTC))
    except (OSError, pa.ArrowException) as error:
        raise InvalidError(f"The rest of the file can't be read, what came before it is stored: {error}") from None


def checked(rows: list[tuple[int, Any]], *, file: EventFile, now: datetime) -> Batch:
    """The events of the rows, and what is wrong with the rows that are none: looked for where something is."""
    batch = Batch(len(rows), rows=[(number, row) for number, row in rows if row])
    oldest = oldest_kept(now)
    try:
        batch.events = file.events([row for _, row in batch.rows])
        check_together(batch.events, now=now, oldest=oldest)
    except InvalidError:
        judge_each(batch, file=file, now=now, oldest=oldest)
    for (number, _), event in zip(batch.rows, batch.events, strict=True):
        if event.event_id is None:
            event.event_id = row_id(number, event=event)
    return batch


def judge_each(batch: Batch, *, file: EventFile, now: datetime, oldest: datetime) -> None:
    """Leaves the good rows and their events in the batch, and lists the others."""
    rows, batch.rows, batch.events = batch.rows, [], []
    for number, row in rows:
        try:
            event = file.event(row)
            check(event, now=now, oldest=oldest)
        except InvalidError as error:
            batch.rejections.append(Rejection(number=number, error=error, data=file.described(row)))
        else:
            batch.rows.append((number, row))
            batch.events.append(event)


def row_id(number: int, *, event: NewEvent) -> str:
    """An event_id that is the same whenever the row is imported, and another for the same event in another row."""
    return f"row-{number}-{hashlib.sha256(encode(event)).hexdigest()[:32]}"


def store(batch: Batch, *, file: EventFile) -> Ingested:
    """Ingests the batch, but for events of customers who were erased: they are listed with the rejections."""
    while True:
        try:
            return load(batch.events)
        except InvalidError as error:
            if error.code != "erased":
                raise
        reject_erased(batch, file=file)


def reject_erased(batch: Batch, *, file: EventFile) -> None:
    erased = erased_among({event.customer_id for event in batch.events})
    error = InvalidError(ERASED, code="erased", attr="customer_id")
    pairs = list(zip(batch.rows, batch.events, strict=True))
    batch.rejections += [
        Rejection(number=number, error=error, data=file.described(row))
        for (number, row), event in pairs
        if event.customer_id in erased
    ]
    batch.rows = [row for row, event in pairs if event.customer_id not in erased]
    batch.events = [event for _, event in pairs if event.customer_id not in erased]


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """The items, the next one made by another thread while one is in use: PostgreSQL and we work at the same time."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
