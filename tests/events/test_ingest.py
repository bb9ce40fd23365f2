"""Ingestion beyond its answer: marks, nudges, and acceptance without Redis or a broker."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django_redis import get_redis_connection

from events import ingest as ingest_module
from events.copy_text import copy_blocks
from events.ingest import NUDGE, Ingested, ingest, ingest_lines
from events.models import DirtyCustomer, Event
from features.materialization.erasure import erase_customer
from tests.at_once import environment_of_tests, in_a_process
from tests.away import END_OTHER_SESSIONS, nobody_at, redis_away
from tests.factories import ago, make_event, new_event, post_events, store_events, stored_events

NUDGE_KEY = f":1:{NUDGE}"
POST_AN_EVENT = """
from tests.factories import make_client, make_event, post_events
print(post_events(make_client("ingest"), make_event()).status_code)
"""


def queued() -> int:
    return int(get_redis_connection("default").llen("realtime"))


def test_nothing_to_ingest_is_nothing_done(db: None) -> None:
    assert ingest([]) == Ingested(accepted=0, duplicates=0)
    assert (queued(), DirtyCustomer.objects.count()) == (0, 0)


@pytest.mark.parametrize("ahead", [timedelta(days=-5), timedelta(0), timedelta(minutes=4)])
def test_a_mark_is_due_when_its_event_counts(db: None, ahead: timedelta) -> None:
    timestamp = ago(seconds=0) + ahead
    store_events(make_event(timestamp=timestamp))
    due_at = DirtyCustomer.objects.get().due_at
    if ahead > timedelta(0):
        assert due_at == timestamp
    else:
        assert ago(minutes=1) < due_at <= ago(seconds=0)


def test_a_customer_with_events_now_and_ahead_has_a_mark_for_each(db: None) -> None:
    ahead = ago(minutes=-3)
    store_events(make_event(), make_event(), make_event(timestamp=ahead))
    now, later = DirtyCustomer.objects.order_by("due_at").values_list("due_at", flat=True)
    assert now < later == ahead


def test_events_and_marks_are_kept_together_or_not_at_all(committed: None) -> None:
    with transaction.atomic():
        ingest([new_event()])
        transaction.set_rollback(True)
    assert (stored_events(), DirtyCustomer.objects.count(), queued()) == (0, 0, 0)


def test_two_ingestions_in_one_transaction_are_two(committed: None) -> None:
    event = new_event()
    with transaction.atomic():
        assert ingest([event]) == Ingested(accepted=1, duplicates=0)
        Event.objects.all().delete()
        assert ingest([new_event(), new_event()]) == Ingested(accepted=2, duplicates=0)
    assert stored_events() == 2
    assert queued() in (1, 2)  # a nudge a second


def test_a_nudge_is_sent_again_when_its_second_is_over(committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ingest_module.NUDGE_SECONDS == 1
    monkeypatch.setattr(ingest_module, "NUDGE_SECONDS", 60)  # longer than this test takes on a slow machine
    redis = get_redis_connection("default")
    store_events(make_event())
    store_events(make_event())
    assert (queued(), 0 < redis.pttl(NUDGE_KEY) <= 60_000) == (1, True)
    redis.pexpire(NUDGE_KEY, 1)
    while redis.exists(NUDGE_KEY):
        time.sleep(0.01)
    store_events(make_event())
    assert queued() == 2


def test_a_nudge_reaches_the_queue_of_a_redis_that_has_lost_everything(committed: None, empty_redis: Any) -> None:
    store_events(make_event())
    empty_redis.flushdb()
    store_events(make_event())
    assert queued() == 1


def test_without_redis_events_are_taken_in(committed: None, api: Any) -> None:
    with redis_away():
        assert post_events(api, make_event()).status_code == 201
    assert (stored_events(), DirtyCustomer.objects.count()) == (1, 1)


def test_without_a_broker_events_are_taken_in_and_soon(committed: None) -> None:
    away = nobody_at(os.environ["REDIS_URL"])
    done = in_a_process(POST_AN_EVENT, CELERY_BROKER_URL=away, REDIS_URL=os.environ["REDIS_URL"])
    assert (done.stdout.split(), done.returncode) == (["201"], 0), done.stderr
    assert "was not sent" in done.stderr
    assert (stored_events(), DirtyCustomer.objects.count()) == (1, 1)


def test_a_redis_that_is_full_takes_no_event_away(committed: None, api: Any, full_redis: None) -> None:
    assert post_events(api, make_event()).status_code == 201
    assert (stored_events(), DirtyCustomer.objects.count()) == (1, 1)


def test_a_session_that_ends_during_copy_is_an_error_of_the_database_and_stores_nothing(committed: None) -> None:
    def blocks() -> Iterator[bytes]:
        with psycopg.connect(environment_of_tests()["DATABASE_URL"], autocommit=True) as other:
            assert other.execute(END_OTHER_SESSIONS).fetchall()
        for _ in range(1_000):
            yield from copy_blocks([new_event()])

    with pytest.raises(OperationalError):
        ingest_lines(blocks(), number=1_000, customer_ids=["c1"], types=["page_view"])
    connection.close()
    assert stored_events() == 0


def test_events_in_parts_are_all_or_none_and_count_duplicates_and_erased_customers(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "EVENTS_PER_PART", 3)
    events = [new_event(event_id=f"part{number}", customer_id=f"c{number % 4}") for number in range(10)]
    erase_customer("c3")
    stored = ingest([*events, events[9], events[0]])
    assert (stored.accepted, stored.duplicates, list(stored.refused)) == (8, 2, [3, 7])
    again = ingest([*events[:3], new_event(event_id="another")])
    assert (again.accepted, again.duplicates) == (1, 3)
    assert Event.objects.count() == 9
