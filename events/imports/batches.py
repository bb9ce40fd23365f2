"""Read the rows of a file in batches: valid events to load, and rejections of the other rows."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from events.bulk_load import Bulk
from events.copy_text import encode_json
from events.imports.fields import EventColumns
from events.imports.lines import EventLines
from events.partitions import oldest_kept
from events.registered_types import RegisteredTypes
from events.tombstones import refuse_erased
from events.validation import NewEvent, check_event, check_together
from featurehub.files.groups import NumberedGroup, refuse_unreadable
from featurehub.files.rejections import rejection_line
from featurehub.files.row_files import RecordKind, RowFile, described, numbered_groups
from featurehub.lib.errors import InvalidError

# A batch ends with the group in which it has as many rows, or as many bytes: of rows, and of lines of rejected ones.
ROWS_PER_BATCH = 30_000
BYTES_PER_BATCH = 16 * 1024 * 1024


EventFile: TypeAlias = RowFile[NewEvent]
EVENT_RECORDS = RecordKind(
    name="events",
    columns=EventColumns,
    lines=EventLines(),
    kept="the events before it are stored",
)


@dataclass(slots=True, kw_only=True)
class Batch:
    """The events of consecutive rows: of `groups` groups, the first of which begins with the row `first`.

    `size` is their number, and `bytes_read` about the memory that they took. `rejected` are the lines that list the
    other rows. The rows themselves are not kept, so that their memory is reused.
    """

    first: int = 0
    groups: int = 0
    size: int = 0
    bytes_read: int = 0
    bulk: Bulk = field(default_factory=Bulk)
    rejected: list[bytes] = field(default_factory=list)


def read_batches(file: EventFile, *, types: RegisteredTypes) -> Iterator[Batch]:
    """Yield the rows of the file as batches of checked events, of the types that are registered."""
    groups = numbered_groups(file, kept=EVENT_RECORDS.kept)
    while (batch := next_batch(groups, file=file, types=types)).groups:
        yield batch


def next_batch(groups: Iterator[NumberedGroup], *, file: EventFile, types: RegisteredTypes) -> Batch:
    """Return the next groups as a batch of ROWS_PER_BATCH rows or BYTES_PER_BATCH, or a little more."""
    batch, now = Batch(), datetime.now(UTC)
    for group in groups:
        add_group(group, batch=batch, file=file, now=now, types=types)
        if batch.size >= ROWS_PER_BATCH or batch.bytes_read + sum(map(len, batch.rejected)) >= BYTES_PER_BATCH:
            break
    return batch


def batch_without(
    erased: frozenset[str], groups: Iterable[NumberedGroup], *, file: EventFile, types: RegisteredTypes
) -> Batch:
    """Return all the groups as a batch that rejects rows of erased customers."""
    batch, now = Batch(), datetime.now(UTC)
    for group in groups:
        add_group(group, batch=batch, file=file, now=now, types=types, erased=erased)
    return batch


def add_group(
    group: NumberedGroup,
    *,
    batch: Batch,
    file: EventFile,
    now: datetime,
    types: RegisteredTypes,
    erased: frozenset[str] = frozenset(),
) -> None:
    """Check the rows and add their events and rejections to the batch.

    The rows are checked together first, and singly only if one of them is not acceptable.
    """
    first, (some, size) = group
    batch.first = batch.first or first
    batch.groups += 1
    batch.size += len(some)
    batch.bytes_read += size
    rows = [(number, row) for number, row in enumerate(some, start=first) if row]
    try:
        events = file.records([row for _, row in rows])
        check_together(events, now=now, oldest=oldest_kept(now), types=types)
        refuse_erased(erased.intersection([event.customer_id for event in events]))
        numbers = [number for number, _ in rows]
    except InvalidError:
        numbers, events = [], []
        for number, row in rows:
            try:
                events.append(checked_event(row, file=file, now=now, types=types, erased=erased))
                numbers.append(number)
            except InvalidError as error:
                batch.rejected.append(rejection_line(number, error=error, data=described(row, file=file)))
    for number, event in zip(numbers, events, strict=True):
        if event.event_id is None:
            event.event_id = row_id(number, event=event)
    batch.bulk.add(events)


def checked_event(
    row: Any, *, file: EventFile, now: datetime, types: RegisteredTypes, erased: frozenset[str]
) -> NewEvent:
    """Return the event of a row. Raise InvalidError if it is not acceptable."""
    refuse_unreadable(row)
    event = file.record(row)
    check_event(event, now=now, oldest=oldest_kept(now), types=types)
    refuse_erased(erased & {event.customer_id})
    return event


def row_id(number: int, *, event: NewEvent) -> str:
    """Return an event_id that depends on the number and the content of the row.

    It is the same at every import of the row, and differs for the same event in another row.
    """
    return f"row-{number}-{hashlib.sha256(encode_json(event)).hexdigest()[:32]}"
