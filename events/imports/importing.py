"""The import itself: the rows of a file in batches, the good ones loaded, the bad ones listed beside the file."""

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile, islice
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from django.db import connection

from events.bulk_load import load_bulk
from events.imports.batches import Batch, EventFile, NumberedRow, next_batch, numbered_rows, read_batches
from events.imports.parquet_files import ParquetFile
from events.imports.rejections import RejectedFile
from events.imports.text_files import CsvFile, JsonLinesFile
from events.ingest import Ingested
from events.tombstones import ErasedError
from featurehub.lib.errors import InvalidError
from featurehub.lib.progress import Progress

T = TypeVar("T")

FORMATS: dict[str, Callable[[Path], EventFile]] = {".csv": CsvFile, ".jsonl": JsonLinesFile, ".parquet": ParquetFile}


@dataclass(slots=True, kw_only=True)
class Imported:
    """How many rows were stored, were there already, and could not be taken."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


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
    rows_again = numbered_rows(file)
    with flushed_at_the_end():
        for batch in prefetched(read_batches(file)):
            stored, ingested = store_batch(batch, file=file, rows_again=rows_again)
            for rejection in stored.rejections:
                rejected.add(rejection)
            imported.accepted += ingested.accepted
            imported.duplicates += ingested.duplicates
            imported.rejected += len(stored.rejections)
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


def store_batch(batch: Batch, *, file: EventFile, rows_again: Iterator[NumberedRow]) -> tuple[Batch, Ingested]:
    """Loads the batch; where there are events of erased customers in it, the one that has them with its rejections.

    Its rows are read a second time for that, and `rows_again` are those of the file, read once for all batches.
    """
    try:
        return batch, load_bulk(batch.bulk)
    except ErasedError as error:
        erased = error.customer_ids
    first = batch.last - batch.size + 1
    rows = list(islice(dropwhile(lambda numbered: numbered[0] < first, rows_again), batch.size))
    while True:  # others may be erased meanwhile
        batch = next_batch(iter(rows), file=file, erased=erased)
        try:
            return batch, load_bulk(batch.bulk)
        except ErasedError as error:
            erased |= error.customer_ids


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """The items, the next one made by another thread while one is in use: PostgreSQL and we work at the same time."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
