"""Partitions of events by month: made when they are needed, read only for their dates, dropped whole."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from events import partitions
from events.models import Event
from events.registered_types import event_types
from featurehub.lib.environment import read_setting, whole_number_or_zero
from features.engines import postgres
from tests.factories import ago, make_client, make_event, post_events, store_events, stored_events


def names() -> list[str]:
    return [name for name, _ in partitions.partitions()]


def plan(sql: str, parameters: dict[str, object]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"explain {sql}", parameters)
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.usefixtures("db")
def test_this_month_and_the_next_are_there_from_the_start() -> None:
    partitions.make_ahead(datetime.now(UTC))
    ends = [partitions.end_of(name) for name in names()]
    assert max(ends) > datetime.now(UTC) + timedelta(days=28)


@pytest.mark.usefixtures("db")
def test_old_events_get_the_months_they_are_missing() -> None:
    moments = [datetime(2019, 1, 31, 23, 59, 59, 999999, UTC), datetime(2019, 2, 1, tzinfo=UTC), ago(minutes=1)]
    assert store_events(*(make_event(timestamp=moment) for moment in moments)).accepted == 3
    assert {"events_event_2019_01", "events_event_2019_02"} <= set(names())
    assert "events_event_2019_03" not in names()
    assert stored_events() == 3


@pytest.mark.usefixtures("db")
def test_a_month_begins_in_utc_whatever_the_session_says() -> None:
    with connection.cursor() as cursor:
        cursor.execute("set local time zone 'Asia/Tokyo'")
    store_events(make_event(timestamp=datetime(2018, 12, 31, 23, 0, tzinfo=UTC)))
    assert "events_event_2018_12" in names()
    assert "events_event_2019_01" not in names()


@pytest.mark.usefixtures("db")
def test_ingestion_takes_one_more_statement_for_each_year_of_new_months() -> None:
    event_types.get()  # in memory from here on
    with CaptureQueriesContext(connection) as few:
        store_events(make_event())
    with CaptureQueriesContext(connection) as many:
        store_events(*(make_event(timestamp=ago(days=31 * month)) for month in range(11)))
    with CaptureQueriesContext(connection) as most:
        store_events(*(make_event(timestamp=ago(days=400 + 31 * month)) for month in range(25)))
    assert len(few) == len(many) == len(most) - 2


@pytest.mark.usefixtures("db")
def test_the_window_reads_the_months_it_lies_in_only() -> None:
    as_of = datetime(2024, 6, 15, tzinfo=UTC)
    partitions.make_partitions(datetime(2023, 1, 1, tzinfo=UTC), until=datetime(2025, 1, 1, tzinfo=UTC))
    window = postgres.shared_parameters(as_of, window_days=30)
    for statement in (postgres.activity_sql_of(()), postgres.activity_sql_of_all(())):
        read = plan(statement, {**window, "customer_ids": ["c1", "c2"]})
        assert {name for name in names() if name in read} == {"events_event_2024_05", "events_event_2024_06"}


@pytest.mark.usefixtures("db")
def test_rows_that_go_around_ingestion_are_refused_where_their_month_is_missing() -> None:
    with pytest.raises(IntegrityError, match="no partition"):
        Event.objects.create(
            event_id="e", customer_id="c1", event_type="login", timestamp=datetime(2001, 1, 1, tzinfo=UTC)
        )


@pytest.mark.usefixtures("db")
def test_an_event_counts_once_in_its_month_and_again_at_another_moment() -> None:
    january, february = datetime(2019, 1, 5, tzinfo=UTC), datetime(2019, 2, 5, tzinfo=UTC)
    assert store_events(make_event(event_id="e", timestamp=january)).accepted == 1
    assert store_events(make_event(event_id="e", timestamp=january)).duplicates == 1
    assert store_events(make_event(event_id="e", timestamp=february)).accepted == 1


@pytest.fixture
def no_month_of_2017() -> Iterator[None]:
    yield
    for name in names():
        if name.startswith("events_event_2017"):
            partitions.drop_partition(name)


@pytest.mark.usefixtures("committed", "no_month_of_2017")
def test_two_loads_of_the_same_missing_months_both_succeed() -> None:
    barrier, loaded = Barrier(4), []

    def load(number: int) -> None:
        events = [make_event(event_id=f"{number}-{n}", timestamp=datetime(2017, n, 1, tzinfo=UTC)) for n in (1, 5, 9)]
        barrier.wait()
        try:
            loaded.append(store_events(*events).accepted)
        finally:
            connections.close_all()

    threads = [Thread(target=load, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [3, 3, 3, 3]
    assert stored_events() == 12


@pytest.mark.usefixtures("committed")
def test_retention_drops_whole_months_and_leaves_the_others(settings: Settings) -> None:
    settings.EVENT_RETENTION_DAYS = 365
    store_events(make_event(timestamp=ago(days=1000)), make_event(timestamp=ago(days=300)))
    expired = partitions.expired_partitions(datetime.now(UTC))
    assert len(expired) == 1
    partitions.drop_partition(expired[0])
    assert expired[0] not in names()
    assert stored_events() == 1


@pytest.mark.usefixtures("committed")
def test_a_drop_that_was_interrupted_after_the_detachment_is_finished(settings: Settings) -> None:
    settings.EVENT_RETENTION_DAYS = 365
    store_events(make_event(timestamp=datetime(2016, 3, 1, tzinfo=UTC)))
    with connection.cursor() as cursor:
        cursor.execute("alter table events_event detach partition events_event_2016_03 concurrently")
    assert partitions.expired_partitions(datetime.now(UTC)) == ["events_event_2016_03"]
    partitions.drop_partition("events_event_2016_03")
    assert partitions.expired_partitions(datetime.now(UTC)) == []


@pytest.mark.usefixtures("db")
def test_nothing_expires_without_a_retention() -> None:
    store_events(make_event(timestamp=datetime(1970, 1, 1, tzinfo=UTC)))
    assert partitions.expired_partitions(datetime.now(UTC)) == []


@pytest.mark.usefixtures("db")
def test_an_event_older_than_the_retention_is_refused_with_its_place(settings: Settings) -> None:
    settings.EVENT_RETENTION_DAYS = 365
    client = make_client("ingest")
    answer = post_events(client, make_event(), make_event(timestamp=ago(days=366).isoformat()))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == "events.1.timestamp"
    assert stored_events() == 0


def test_a_retention_shorter_than_the_window_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATUREHUB_EVENT_RETENTION_DAYS", "29")
    parse = whole_number_or_zero(least=30, most=36_500)
    with pytest.raises(ImproperlyConfigured, match="FEATUREHUB_EVENT_RETENTION_DAYS must be at least the window"):
        read_setting("FEATUREHUB_EVENT_RETENTION_DAYS", parse=parse, expected="at least the window", default="0")
    monkeypatch.setenv("FEATUREHUB_EVENT_RETENTION_DAYS", "0")
    assert read_setting("FEATUREHUB_EVENT_RETENTION_DAYS", parse=parse, expected="…", default="0") == 0
