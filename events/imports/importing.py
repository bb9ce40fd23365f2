"""Import a file of events: load the valid rows in batches, list the others beside the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, islice
from pathlib import Path

from events.bulk_load import load_bulk
from events.imports.batches import EVENT_RECORDS, Batch, EventFile, batch_without, read_batches
from events.ingest import Ingested
from events.registered_types import RegisteredTypes, event_types
from events.tombstones import ErasedError
from featurehub.files.groups import NumberedGroup
from featurehub.files.rejections import RejectedFile
from featurehub.files.row_files import numbered_groups, open_rows, prefetched
from featurehub.lib.copying import flushed_at_the_end
from featurehub.lib.progress import Progress


@dataclass(slots=True, kw_only=True)
class Imported:
    """Number of rows that were stored, that had been stored before, and that were rejected."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


def open_events(path: Path) -> EventFile:
    """Return the file in its format. Raise InvalidError if it can't be read as events at all."""
    return open_rows(path, kind=EVENT_RECORDS)


def import_events(file: EventFile, *, rejected: RejectedFile, progress: Progress = lambda rows: None) -> Imported:
    """Load the valid rows of the file, one transaction per batch, and list the others in `rejected`.

    `progress` is called with the number of rows of each batch. An interrupted import can be run again: an event counts
    once, and a row without an event_id gets one that depends on its number and content only. Rows of event types that
    are not registered as it begins are rejected. Raise InvalidError if the file can't be read further.
    """
    imported = Imported()
    groups_again = numbered_groups(file, kept=EVENT_RECORDS.kept)
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
