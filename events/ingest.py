"""Store events in PostgreSQL and mark their customers as dirty.

Acknowledged events are durable, even if the processes that compute features from them fail.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from events.copy_text import copy_blocks
from events.posted import CheckedEvent
from events.registration import note_first_events
from events.tombstones import HOLD_OFF_ERASURE, ErasedError, erased_among, refuse_erased
from events.validation import NewEvent
from featurehub.lib.batched import batched
from featurehub.lib.copying import copying
from featurehub.lib.enqueue import enqueue
from featurehub.lib.redis_away import ANY_REDIS_ERROR
from featurehub.observability.tracing import tracing

logger = logging.getLogger(__name__)

# A task of `features`, by name: `events` never imports `features`.
REFRESH_TASK = "features.refresh_dirty"
NUDGE = "events.nudge"
NUDGE_SECONDS = 1

CREATE_INCOMING = f"""
create temporary table if not exists incoming_event (
    event_id text, customer_id text, event_type text, "timestamp" timestamptz,
    session_id text, amount numeric, category text, metadata jsonb
) on commit delete rows;
delete from incoming_event;  -- rows of an earlier call in the same transaction
{HOLD_OFF_ERASURE}
"""  # noqa: S608 - a constant
COPY_INCOMING = """
copy incoming_event (event_id, customer_id, event_type, "timestamp", session_id, amount, category, metadata) from stdin
"""
# Months that have no partition yet. Only loads of old events contain any: see events/partitions.py. A statement makes a
# year of them: one for hundreds of months would take longer than a request may wait.
MONTHS_PER_STATEMENT = 12
MAKE_PARTITIONS = f"""
with months as materialized (select distinct date_trunc('month', "timestamp", 'UTC') as month from incoming_event),
missing as materialized (
    select month from months where to_regclass(events_partition_name(month)) is null limit {MONTHS_PER_STATEMENT}
)
select events_make_partition(month) from missing
"""  # noqa: S608 - a constant
# The rows are ordered, so that two transactions with the same events wait for each other and never deadlock.
# A mark is due when its event begins to count: an event with a future timestamp counts from its timestamp on.
# It carries the trace of its request, if that is traced.
INSERT_EVENTS_AND_MARKS = """
with inserted as (
    insert into events_event (event_id, customer_id, event_type, "timestamp", session_id, amount, category, metadata)
    select event_id, customer_id, event_type, "timestamp", session_id, amount, category, metadata
    from incoming_event
    order by event_id, "timestamp", ctid  -- the first of several events with the same key
    {on_conflict}
    returning customer_id, "timestamp"
), marked as (
    insert into events_dirtycustomer (customer_id, due_at, traceparent)
    select distinct customer_id, greatest("timestamp", now()), %s::text from inserted
)
select count(*) from inserted
"""
INSERT_ALL = INSERT_EVENTS_AND_MARKS.format(on_conflict="")
INSERT_NEW = INSERT_EVENTS_AND_MARKS.format(on_conflict="on conflict do nothing")
# More events are stored in parts, in one transaction: a statement for 10,000 large ones may take longer than a request
# may wait.
EVENTS_PER_PART = 2_500
# From this number of events on, the attempt without conflict checks is worth its savepoint.
MANY_EVENTS = 200


@dataclass(frozen=True, slots=True)
class Ingested:
    """Number of events that were stored, of those that had been stored before, and the indexes of the others.

    `refused` are the events of erased customers.
    """

    accepted: int
    duplicates: int
    refused: Sequence[int] = ()


def ingest(events: Sequence[NewEvent | CheckedEvent]) -> Ingested:
    """Store checked events and mark their customers, all or none, in six or seven statements a part of the events.

    Duplicates of stored events, and duplicates among `events` (same event_id and timestamp), are counted and change
    nothing. Events of erased customers are refused, and don't keep the others from being stored.
    """
    erased: frozenset[str] = frozenset()
    while True:  # further customers may be erased meanwhile
        taken = [event for event in events if event.customer_id not in erased] if erased else events
        try:
            stored = ingest_parts(taken)
        except ErasedError as error:
            erased |= error.customer_ids
        else:
            refused = [place for place, event in enumerate(events) if event.customer_id in erased] if erased else ()
            return Ingested(accepted=stored.accepted, duplicates=stored.duplicates, refused=refused)


def ingest_parts(events: Sequence[NewEvent | CheckedEvent]) -> Ingested:
    """Store the events as `ingest_lines` does, in one transaction.

    Parts are in the order of the events' keys, so that transactions with the same events wait for each other.
    """
    if len(events) <= EVENTS_PER_PART:
        return ingest_part(events)
    ordered = sorted(events, key=lambda event: (event.event_id or "", event.timestamp))
    with transaction.atomic():
        parts = [ingest_part(part) for part in batched(ordered, EVENTS_PER_PART)]
    return Ingested(accepted=sum(part.accepted for part in parts), duplicates=sum(part.duplicates for part in parts))


def ingest_part(events: Sequence[NewEvent | CheckedEvent]) -> Ingested:
    """Store the events as `ingest_lines` does."""
    customer_ids = {event.customer_id for event in events}
    types = {event.event_type for event in events}
    return ingest_lines(copy_blocks(events), number=len(events), customer_ids=customer_ids, types=types)


def ingest_lines(
    blocks: Iterable[bytes], *, number: int, customer_ids: Collection[str], types: Collection[str]
) -> Ingested:
    """Store `number` events of these customers and types that are encoded by `copy_blocks`, as `ingest` does.

    Raise ErasedError if one of the customers was erased, InvalidError if one of the types is not registered: then
    nothing is stored.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(CREATE_INCOMING)
            refuse_erased(erased_among(customer_ids))
            note_first_events(types)
            with copying(cursor, COPY_INCOMING) as copy:
                for block in blocks:
                    copy.write(block)
            cursor.execute(MAKE_PARTITIONS)
            while cursor.rowcount == MONTHS_PER_STATEMENT:
                cursor.execute(MAKE_PARTITIONS)
            accepted = insert(cursor, expected=number)
        if accepted:
            transaction.on_commit(nudge)
    return Ingested(accepted=accepted, duplicates=number - accepted)


def insert(cursor: CursorWrapper, *, expected: int) -> int:
    """Insert the events of the temporary table, mark their customers and return how many events were new.

    A check for conflicts makes an insertion a third slower, and usually all of many events are new. From MANY_EVENTS
    on, the first attempt therefore inserts without the check.
    """
    if expected >= MANY_EVENTS:
        try:
            with transaction.atomic():
                cursor.execute(INSERT_ALL, [tracing.traceparent()])
                return expected
        except IntegrityError:
            logger.debug("Some events are duplicates: inserting the others")
    cursor.execute(INSERT_NEW, [tracing.traceparent()])
    new: int = cursor.fetchone()[0]
    return new


def nudge() -> None:
    """Wake a worker, at most once a second.

    A lost nudge costs latency only: beat starts a worker that finds the marks.
    """
    try:
        if cache.add(NUDGE, 1, timeout=NUDGE_SECONDS):
            enqueue(REFRESH_TASK, queue="realtime")
    except ANY_REDIS_ERROR as error:
        logger.warning("No worker was notified; the next sweep will find the marks: %s", error)


def forget_nudge() -> None:
    """Let the next commit nudge again.

    A worker calls this before it claims marks, since events that are committed later need a nudge of their own.
    """
    try:
        cache.delete(NUDGE)
    except ANY_REDIS_ERROR as error:
        logger.warning("The nudge was not deleted; it will expire: %s", error)
