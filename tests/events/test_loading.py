"""A bulk load is an ingestion: it differs in nothing but its time."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from events.ingest import Ingested
from events.loading import load
from events.models import DirtyCustomer, Event
from events.partitions import make_partitions
from events.tombstones import bury
from featurehub.errors import InvalidError
from tests.factories import ago, new_event, stored_events


@pytest.fixture(autouse=True)
def months(db: None) -> None:
    make_partitions(ago(days=3), until=ago(days=0))


def past(**fields: object) -> object:
    return new_event(**{"timestamp": ago(days=1), **fields})


def test_new_events_of_the_past_are_stored_without_a_detour() -> None:
    events = [past(customer_id="c1"), past(customer_id="ünï"), past(customer_id="c1")]
    with CaptureQueriesContext(connection) as queries:
        assert load(events) == Ingested(accepted=3, duplicates=0)
    assert not any("incoming_event" in query["sql"] for query in queries)
    assert set(DirtyCustomer.objects.values_list("customer_id", flat=True)) == {"c1", "ünï"}
    assert {mark.due_at <= ago(days=0) for mark in DirtyCustomer.objects.all()} == {True}


def test_duplicates_are_counted_and_the_others_stored() -> None:
    first, second, third = past(), past(), past()
    load([first])
    assert load([second, first, second, third]) == Ingested(accepted=2, duplicates=2)
    assert stored_events() == 3


def test_a_month_that_was_not_there_is_made() -> None:
    long_ago = ago(days=4_000)
    assert load([past(timestamp=long_ago)]).accepted == 1
    assert Event.objects.get().timestamp == long_ago


@pytest.mark.parametrize("ahead", [timedelta(minutes=-1), timedelta(minutes=4)])
def test_events_of_now_and_ahead_are_marked_when_they_count(ahead: timedelta) -> None:
    timestamp = ago(days=0) + ahead
    load([past(), past(timestamp=timestamp)])
    assert (DirtyCustomer.objects.filter(due_at=timestamp).exists()) == (ahead > timedelta(0))
    assert DirtyCustomer.objects.filter(due_at__lte=ago(days=0)).exists()


def test_an_erased_customer_is_refused_and_nothing_stored() -> None:
    bury("c2")
    with pytest.raises(InvalidError) as refused:
        load([past(), past(customer_id="c2")])
    assert (refused.value.code, refused.value.attr, stored_events()) == ("erased", "events.1.customer_id", 0)


def test_nothing_is_nothing() -> None:
    assert load([]) == Ingested(accepted=0, duplicates=0)
