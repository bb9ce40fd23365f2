"""Read the rows of a file in batches: valid events to load, and rejections of the other rows."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

import pyarrow as pa

from events.bulk_load import Bulk
from events.copy_text import encode_json
from events.imports.rejections import rejection_line
from events.partitions import oldest_kept
from events.tombstones import refuse_erased
from events.validation import NewEvent, check_event, check_together
from featurehub.lib.errors import InvalidError

ROWS_PER_BATCH = 30_000
# Few enough to stay in the processor's cache until they are encoded, which takes a third off the time of a row.
ROWS_AT_ONCE = 1_000

NumberedRow = tuple[int, Any]


class EventFile(Protocol):
    """A file of events in one of the formats.

    A row is what the format reads: cells, a line, or values. An empty row is a blank line.
    """

    total: int  # approximate number of rows

    def rows(self) -> Iterator[Any]:
        """Yield the rows from the first one on, at every call and in any thread."""

    def event(self, row: Any) -> NewEvent:
        """Return the event of a row, with the right types. Raise InvalidError if it can't be read."""

    def events(self, rows: list[Any]) -> list[NewEvent]:
        """Return the events of many rows. Raise InvalidError if one of them can't be read."""

    def described(self, row: Any) -> Any:
        """Return the row as the list of rejected rows shows it."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """The events of `size` consecutive rows, the last of which has the number `last`.

    `rejected` are the lines that list the other rows. The rows themselves are not kept, so that their memory is reused.
    """

    size: int = 0
    last: int = 0
    bulk: Bulk = field(default_factory=Bulk)
    rejected: list[bytes] = field(default_factory=list)


def numbered_rows(file: EventFile) -> Iterator[NumberedRow]:
    """Yield (number, row), counted from 1.

    Raise InvalidError if the file can't be read further.
    """
    try:
        yield from enumerate(file.rows(), start=1)
    except (OSError, pa.ArrowException) as error:
        raise InvalidError(f"The rest of the file can't be read; the events before it are stored: {error}") from None


def read_batches(file: EventFile) -> Iterator[Batch]:
    """Yield the rows of the file as batches of checked events."""
    rows = numbered_rows(file)
    while (batch := next_batch(rows, file=file)).size:
        yield batch


def next_batch(rows: Iterator[NumberedRow], *, file: EventFile, erased: frozenset[str] = frozenset()) -> Batch:
    """Return the next ROWS_PER_BATCH rows as a batch; rows of `erased` customers are rejected."""
    batch = Batch()
    now = datetime.now(UTC)
    while some := list(islice(rows, min(ROWS_AT_ONCE, ROWS_PER_BATCH - batch.size))):
        batch.size += len(some)
        batch.last, _ = some[-1]
        add_checked(some, batch=batch, file=file, now=now, erased=erased)
    return batch


def add_checked(
    rows: list[NumberedRow], *, batch: Batch, file: EventFile, now: datetime, erased: frozenset[str]
) -> None:
    """Check the rows and add their events and rejections to the batch.

    The rows are checked together first, and singly only if one of them is not acceptable.
    """
    rows = [(number, row) for number, row in rows if row]
    try:
        events = file.events([row for _, row in rows])
        check_together(events, now=now, oldest=oldest_kept(now))
        refuse_erased(erased.intersection([event.customer_id for event in events]))
        numbers = [number for number, _ in rows]
    except InvalidError:
        numbers, events = [], []
        for number, row in rows:
            try:
                events.append(checked_event(row, file=file, now=now, erased=erased))
                numbers.append(number)
            except InvalidError as error:
                batch.rejected.append(rejection_line(number, error=error, data=file.described(row)))
    for number, event in zip(numbers, events, strict=True):
        if event.event_id is None:
            event.event_id = row_id(number, event=event)
    batch.bulk.add(events)


def checked_event(row: Any, *, file: EventFile, now: datetime, erased: frozenset[str]) -> NewEvent:
    """Return the event of a row. Raise InvalidError if it is not acceptable."""
    event = file.event(row)
    check_event(event, now=now, oldest=oldest_kept(now))
    refuse_erased(erased & {event.customer_id})
    return event


def row_id(number: int, *, event: NewEvent) -> str:
    """Return an event_id that depends on the number and the content of the row.

    It is the same at every import of the row, and differs for the same event in another row.
    """
    return f"row-{number}-{hashlib.sha256(encode_json(event)).hexdigest()[:32]}"
