"""From the rows of a file to batches of what is to be loaded, and of what is wrong with the others."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

import pyarrow as pa

from events.bulk_load import Bulk
from events.copy_text import encode_json
from events.imports.rejections import Rejection
from events.partitions import oldest_kept
from events.tombstones import refuse_erased
from events.validation import NewEvent, check_event, check_together
from featurehub.lib.errors import InvalidError

ROWS_PER_BATCH = 30_000
# So few that they stay in the processor's cache until they are lines for COPY: a row takes two thirds of the time then.
ROWS_AT_ONCE = 1_000

NumberedRow = tuple[int, Any]


class EventFile(Protocol):
    """A row is what the format reads: cells, a line, values. One that is empty is a blank line."""

    total: int  # about how many rows there are

    def rows(self) -> Iterator[Any]:
        """From the first on, whenever and in whatever thread it is called."""

    def event(self, row: Any) -> NewEvent:
        """The row as an event of the right types. Raises InvalidError."""

    def events(self, rows: list[Any]) -> list[NewEvent]:
        """The same of many rows. Raises InvalidError where one of them is none."""

    def described(self, row: Any) -> Any:
        """The row as it is listed where it is rejected."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """Rows on end, of which `last` is the number of the last. They are not kept: memory that is used again is fast."""

    size: int = 0
    last: int = 0
    bulk: Bulk = field(default_factory=Bulk)
    rejections: list[Rejection] = field(default_factory=list)


def numbered_rows(file: EventFile) -> Iterator[NumberedRow]:
    """The rows and their numbers, from 1. Raises InvalidError where the file breaks off being readable."""
    try:
        yield from enumerate(file.rows(), start=1)
    except (OSError, pa.ArrowException) as error:
        raise InvalidError(f"The rest of the file can't be read, what came before it is stored: {error}") from None


def read_batches(file: EventFile) -> Iterator[Batch]:
    """The rows of the file, checked."""
    rows = numbered_rows(file)
    while (batch := next_batch(rows, file=file)).size:
        yield batch


def next_batch(rows: Iterator[NumberedRow], *, file: EventFile, erased: frozenset[str] = frozenset()) -> Batch:
    """The next ROWS_PER_BATCH of the rows, checked; those of the erased customers are rejected."""
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
    """Adds the rows to the batch. What is wrong with each is looked for only where something is with one of them."""
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
                batch.rejections.append(Rejection(number=number, error=error, data=file.described(row)))
    for number, event in zip(numbers, events, strict=True):
        if event.event_id is None:
            event.event_id = row_id(number, event=event)
    batch.bulk.add(events)


def checked_event(row: Any, *, file: EventFile, now: datetime, erased: frozenset[str]) -> NewEvent:
    """The event of a row. Raises InvalidError."""
    event = file.event(row)
    check_event(event, now=now, oldest=oldest_kept(now))
    refuse_erased(erased & {event.customer_id})
    return event


def row_id(number: int, *, event: NewEvent) -> str:
    """An event_id that is the same whenever the row is imported, and another for the same event in another row."""
    return f"row-{number}-{hashlib.sha256(encode_json(event)).hexdigest()[:32]}"
