"""Load past events in bulk: copy them into their table directly, without the temporary table of `ingest`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import IntegrityError, OperationalError, connection, transaction

from events.copy_text import copy_blocks
from events.ingest import Ingested, ingest_lines, nudge
from events.registration import note_first_events
from events.tombstones import HOLD_OFF_ERASURE, erased_among, refuse_erased
from events.validation import CLOCK_SKEW, EARLIEST, NewEvent
from featurehub.lib.copying import copying

COPY_EVENTS = """
copy events_event (event_id, customer_id, event_type, "timestamp", session_id, amount, category, metadata) from stdin
"""
# The ids are sent as one text, an id a line: no id contains a line break, and an array takes longer to send.
MARK = """
insert into events_dirtycustomer (customer_id, due_at)
select customer_id, now() from string_to_table(%s, E'\\n') customer_id
"""


@dataclass(slots=True)
class Bulk:
    """Checked events to load, as COPY lines.

    `blocks` are those of `copy_blocks`, and `latest` is the latest timestamp. The events themselves are not kept: added
    in small groups, they stay in the processor's cache until they are encoded.
    """

    number: int = 0
    blocks: list[bytes] = field(default_factory=list)
    customer_ids: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    latest: datetime = EARLIEST

    def add(self, events: Sequence[NewEvent]) -> None:
        """Encode the events and add them to the load."""
        self.number += len(events)
        self.blocks += copy_blocks(events)
        self.customer_ids.update([event.customer_id for event in events])
        self.types.update([event.event_type for event in events])
        self.latest = max([self.latest, *[event.timestamp for event in events]])


def load_bulk(bulk: Bulk) -> Ingested:
    """Store the events and mark their customers, as `ingest` does.

    Takes half the time of `ingest` if every event is new and past, and its month has a partition. Otherwise it falls
    back to `ingest_lines`. Raise ErasedError if one of the customers was erased.
    """
    if not bulk.number or bulk.latest > datetime.now(UTC) - CLOCK_SKEW:
        return ingest_lines(bulk.blocks, number=bulk.number, customer_ids=bulk.customer_ids, types=bulk.types)
    try:
        with transaction.atomic():
            copy_in(bulk)
            transaction.on_commit(nudge)
    except (IntegrityError, OperationalError):  # a duplicate, a month without a partition, a deadlock
        return ingest_lines(bulk.blocks, number=bulk.number, customer_ids=bulk.customer_ids, types=bulk.types)
    return Ingested(accepted=bulk.number, duplicates=0)


def copy_in(bulk: Bulk) -> None:
    """Copy the events into their table and mark their customers, in the current transaction.

    Raise ErasedError if one of the customers was erased, and IntegrityError if an event is a duplicate or its month has
    no partition.
    """
    with connection.cursor() as cursor:
        cursor.execute(HOLD_OFF_ERASURE)
        refuse_erased(erased_among(bulk.customer_ids))
        note_first_events(bulk.types)
        with copying(cursor, COPY_EVENTS) as copy:
            for block in bulk.blocks:
                copy.write(block)
        cursor.execute(MARK, ["\n".join(bulk.customer_ids)])
