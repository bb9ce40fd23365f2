"""A bulk load has the same outcome as an ingestion of the same events."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from events.bulk_load import Bulk, load_bulk
from events.copy_text import copy_blocks
from events.event_types import EVENT_TYPES
from events.ingest import NUDGE, Ingested, ingest, ingest_lines
from events.models import DirtyCustomer, Event
from events.partitions import make_partitions
from events.tombstones import ErasedError, add_tombstone
from events.validation import NewEvent
from tests.factories import ago, new_event, stored_events

COLUMNS = ("event_id", "customer_id", "event_type", "timestamp", "session_id", "amount", "category", "metadata")
NOW = ago(days=0)
# In an existing month of the past, in a month without partition, now, and ahead of now.
AGES = [timedelta(days=1), timedelta(days=2), timedelta(days=4_000), timedelta(minutes=2), timedelta(minutes=-4)]
STRANGE = "a\tb\\N\n\r"

some_events = st.lists(
    st.builds(
        NewEvent,
        event_id=st.sampled_from(["e1", "e2", "e3", "e4", STRANGE]),
        customer_id=st.sampled_from(["c1", "ünï", "c\\2", "gone"]),
        event_type=st.sampled_from(EVENT_TYPES),
        timestamp=st.sampled_from(AGES).map(lambda age: NOW - age) | st.just(NOW - AGES[0]),
        session_id=st.sampled_from([None, "s1", STRANGE]),
        metadata=st.sampled_from([{}, {"amount": 0.1, "category": STRANGE}, {"amount": 7, "a": [None, STRANGE]}]),
    ),
    max_size=5,
)


@pytest.fixture(autouse=True)
def months(db: None) -> None:
    make_partitions(ago(days=3), until=ago(days=0))


def past(**fields: object) -> NewEvent:
    return new_event(**{"timestamp": ago(days=1), **fields})


def bulk_of(*parts: Sequence[NewEvent]) -> Bulk:
    bulk = Bulk()
    for part in parts:
        bulk.add(part)
    return bulk


def outcome(take: Callable[[], Ingested], *, stored: Sequence[NewEvent]) -> tuple[Any, ...]:
    """Return the result or refusal of `take`, and the events and marks after it, where `stored` were there before."""
    with transaction.atomic():
        ingest(stored)
        DirtyCustomer.objects.all().delete()
        try:
            done: object = take()
        except ErasedError as error:
            done = (error.code, error.detail, error.customer_ids)
        events = sorted(map(repr, Event.objects.values_list(*COLUMNS)))
        marks = sorted(DirtyCustomer.objects.values_list("customer_id", "due_at"))
        transaction.set_rollback(True)
    return done, events, marks


@given(stored=some_events, events=some_events)
def test_loading_does_what_ingestion_does(stored: list[NewEvent], events: list[NewEvent]) -> None:
    add_tombstone("gone")
    stored = [event for event in stored if event.customer_id != "gone"]
    half = len(events) // 2
    loaded = outcome(lambda: load_bulk(bulk_of(events[:half], events[half:])), stored=stored)
    customer_ids, types = {event.customer_id for event in events}, {event.event_type for event in events}
    expected = outcome(
        lambda: ingest_lines(copy_blocks(events), number=len(events), customer_ids=customer_ids, types=types),
        stored=stored,
    )
    assert loaded == expected


def test_new_events_of_the_past_are_stored_without_a_detour() -> None:
    events = [past(customer_id="c1"), past(customer_id="ünï"), past(customer_id="c1")]
    with CaptureQueriesContext(connection) as queries:
        assert load_bulk(bulk_of(events[:2], events[2:])) == Ingested(accepted=3, duplicates=0)
    assert not any("incoming_event" in query["sql"] for query in queries)
    assert set(DirtyCustomer.objects.values_list("customer_id", flat=True)) == {"c1", "ünï"}
    assert {mark.due_at <= ago(days=0) for mark in DirtyCustomer.objects.all()} == {True}


def test_a_customer_is_marked_once_a_load() -> None:
    load_bulk(bulk_of([past(), past()], [past()]))
    assert DirtyCustomer.objects.count() == 1


def test_duplicates_are_counted_and_the_others_stored() -> None:
    first, second, third = past(), past(), past()
    load_bulk(bulk_of([first]))
    assert load_bulk(bulk_of([second, first], [second, third])) == Ingested(accepted=2, duplicates=2)
    assert stored_events() == 3


def test_customers_with_nothing_but_duplicates_are_not_marked() -> None:
    first, second = past(customer_id="c1"), past(customer_id="c2")
    load_bulk(bulk_of([first]))
    DirtyCustomer.objects.all().delete()
    load_bulk(bulk_of([first, second]))
    assert [mark.customer_id for mark in DirtyCustomer.objects.all()] == ["c2"]


def test_a_month_that_was_not_there_is_made() -> None:
    long_ago = ago(days=4_000)
    assert load_bulk(bulk_of([past(timestamp=long_ago)])).accepted == 1
    assert Event.objects.get().timestamp == long_ago


@pytest.mark.parametrize("ahead", [timedelta(minutes=-1), timedelta(minutes=4)])
def test_events_of_now_and_ahead_are_marked_when_they_count(ahead: timedelta) -> None:
    timestamp: datetime = ago(days=0) + ahead
    load_bulk(bulk_of([past(timestamp=timestamp)], [past()]))
    assert (DirtyCustomer.objects.filter(due_at=timestamp).exists()) == (ahead > timedelta(0))
    assert DirtyCustomer.objects.filter(due_at__lte=ago(days=0)).exists()


@pytest.mark.parametrize("timestamp", [ago(days=1), ago(minutes=1)])
def test_an_erased_customer_is_refused_and_nothing_stored(timestamp: datetime) -> None:
    add_tombstone("c2")
    of_the_erasure = DirtyCustomer.objects.get()
    with pytest.raises(ErasedError) as refused:
        load_bulk(bulk_of([past(), past(customer_id="c2", timestamp=timestamp)]))
    assert (refused.value.code, refused.value.customer_ids, stored_events()) == ("erased", {"c2"}, 0)
    assert DirtyCustomer.objects.get() == of_the_erasure


def test_a_worker_is_nudged_after_the_commit(django_capture_on_commit_callbacks: Any) -> None:
    cache.delete(NUDGE)
    with django_capture_on_commit_callbacks(execute=True):
        load_bulk(bulk_of([past()]))
        assert not cache.get(NUDGE)
    assert cache.get(NUDGE)


def test_nothing_is_nothing() -> None:
    assert load_bulk(bulk_of([])) == Ingested(accepted=0, duplicates=0)
