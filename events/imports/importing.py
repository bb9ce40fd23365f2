"""Import a file of events: load the valid rows in batches, list the others beside the file."""

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
from events.imports.batches import Batch, EventFile, batch_without, numbered_groups, read_batches
from events.imports.groups import NumberedGroup
from events.imports.parquet_files import ParquetFile
from events.imports.rejections import RejectedFile
from events.imports.text_files import NOT_CSV, ROW_TOO_LONG, CsvFile, JsonLinesFile, LongRowError
from events.ingest import Ingested
from events.registered_types import RegisteredTypes, event_types
from events.tombstones import ErasedError
from featurehub.lib.errors import InvalidError
from featurehub.lib.progress import Progress

T = TypeVar("T")

FORMATS: dict[str, Callable[[Path], EventFile]] = {".csv": CsvFile, ".jsonl": JsonLinesFile, ".parquet": ParquetFile}


@dataclass(slots=True, kw_only=True)
class Imported:
    """Number of rows that were stored, that had been stored before, and that were rejected."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


def open_events(path: Path) -> EventFile:
    """Return the file in its format. Raise InvalidError if it can't be read as events at all."""
    open_format = FORMATS.get(path.suffix.lower())
    if open_format is None:
        raise InvalidError(f"{path} has none of the endings {', '.join(FORMATS)}, which name the format of the file.")
    if not path.is_file():
        raise InvalidError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}: name a file of events.")
    try:
        return open_format(path)
    except LongRowError:
        raise InvalidError(f"{path} has a header that can't be read: {ROW_TOO_LONG}.") from None
    except csv.Error:
        raise InvalidError(f"{path} {NOT_CSV}") from None
    except (OSError, pa.ArrowException) as error:
        raise InvalidError(f"{path} can't be read: {error}") from None


def import_events(file: EventFile, *, rejected: RejectedFile, progress: Progress = lambda rows: None) -> Imported:
    """Load the valid rows of the file, one transaction per batch, and list the others in `rejected`.

    `progress` is called with the number of rows of each batch. An interrupted import can be run again: an event counts
    once, and a row without an event_id gets one that depends on its number and content only. Rows of event types that
    are not registered as it begins are rejected. Raise InvalidError if the file can't be read further.
    """
    imported = Imported()
    groups_again = numbered_groups(file)
    types = event_types.get(younger_than=0)
    with flushed_at_the_end():
        for batch in prefetched(read_batches(file, types=types)):
            stored, ingested = store_batch(batch, file=file, types=types, groups_again=groups_again)
            for line in stored.rejected:
                rejected.add(line)
            imported.accepted += ingested.accepted
            imported.duplicates += ingested.duplicates
            imported.rejected += len(stored.rejected)
            progress(batch.size)
    return imported


@contextmanager
def flushed_at_the_end() -> Iterator[None]:
    """Let commits in the block return before they are on disk, and flush all of them at its end.

    The last statement commits with a flush of the write-ahead log, which includes all earlier commits.
    """
    with connection.cursor() as cursor:
        cursor.execute("set synchronous_commit = off")
        try:
            yield
        finally:
            cursor.execute("reset synchronous_commit")
            cursor.execute("select pg_current_xact_id()")


def store_batch(
    batch: Batch, *, file: EventFile, types: RegisteredTypes, groups_again: Iterator[NumberedGroup]
) -> tuple[Batch, Ingested]:
    """Load a batch and return it; if it has events of erased customers, return one that rejects their rows.

    The groups of such a batch are read a second time, from `groups_again`: those of the file, which are read once for
    all batches.
    """
    try:
        return batch, load_bulk(batch.bulk)
    except ErasedError as error:
        erased = error.customer_ids
    first = batch.first
    groups = list(islice(dropwhile(lambda numbered: numbered[0] < first, groups_again), batch.groups))
    while True:  # further customers may be erased meanwhile
        batch = batch_without(erased, groups, file=file, types=types)
        try:
            return batch, load_bulk(batch.bulk)
        except ErasedError as error:
            erased |= error.customer_ids


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, and let another thread make the next one meanwhile.

    So the file is read while PostgreSQL stores the previous batch.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
