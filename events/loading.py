"""Bulk loads of past events: copied straight into their table, without the detour that `ingest` makes."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import IntegrityError, OperationalError, connection, transaction

from events.copying import copy_blocks
from events.ingest import Ingested, ingest, nudge
from events.tombstones import HOLD_OFF_ERASURE, refuse_erased
from events.validation import CLOCK_SKEW, NewEvent

COPY_EVENTS = """
copy events_event (event_id, customer_id, event_type, "timestamp", session_id, amount, category, metadata) from stdin
"""
# Customers by lines: an id has no line's end in it, and a list of ids would take longer to send.
ERASED_AMONG = """
select customer_id from string_to_table(%s, E'\\n') customer_id
join events_erasedcustomer on customer_hash = sha256(convert_to(customer_id, 'UTF8'))
"""
MARK = """
insert into events_dirtycustomer (customer_id, due_at)
select customer_id, now() from string_to_table(%s, E'\\n') customer_id
"""


def load(events: Sequence[NewEvent]) -> Ingested:
    """What `ingest` does, in half the time where every event is new, past, and of a month that has its partition."""
    if not events or max(event.timestamp for event in events) > datetime.now(UTC) - CLOCK_SKEW:
        return ingest(events)
    try:
        with transaction.atomic():
            copy_in(events)
            transaction.on_commit(nudge)
    except (IntegrityError, OperationalError):  # a duplicate, a month without partition, a deadlock
        return ingest(events)
    return Ingested(accepted=len(events), duplicates=0)


def copy_in(events: Sequence[NewEvent]) -> None:
    """Raises IntegrityError where there is a duplicate among or of the events, or no partition for one of them."""
    customers = "\n".join({event.customer_id for event in events})
    with connection.cursor() as cursor:
        cursor.execute(HOLD_OFF_ERASURE)
        cursor.execute(ERASED_AMONG, [customers])
        refuse_erased(events, erased=[customer_id for (customer_id,) in cursor.fetchall()])
        with connection.wrap_database_errors, cursor.copy(COPY_EVENTS) as copy:
            for block in copy_blocks(events):
                copy.write(block)
        cursor.execute(MARK, [customers])
