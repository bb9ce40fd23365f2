"""Old history keeps the last row of each day; expired months of events are dropped whole."""

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from events import partitions
from features.materialization import retention
from features.models import CustomerFeature, Run, RunChunk
from tests.factories import ago, make_customer, make_event, rows_of, store_events, stored_events

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def add_row(customer_id: str, moment: datetime, *, feature_type: str = "behavioral", version: str = "1.0") -> int:
    row = CustomerFeature.objects.create(
        customer_id=customer_id, feature_type=feature_type, version=version, timestamp=moment, features={}
    )
    return int(row.pk)


def thin(*, now: datetime) -> Run:
    run = retention.begin_thinning(now=now)
    assert run is not None
    while retention.thin_out(run):
        pass
    run.refresh_from_db()
    return run


@pytest.mark.usefixtures("db")
def test_beyond_the_retention_the_last_row_of_each_day_stays(settings: Settings) -> None:
    settings.HISTORY_RETENTION_DAYS = 10
    make_customer("c1")
    make_customer("c2", login=1)
    CustomerFeature.objects.all().delete()
    hours = [NOON - timedelta(hours=hours) for hours in (2, 1, 0)]
    first, second, third = (add_row("c2", moment) for moment in hours)
    day_before = add_row("c2", NOON - timedelta(days=1))
    other_type = add_row("c2", NOON, feature_type="customer")
    other_version = add_row("c2", NOON - timedelta(hours=3), version="2.0")
    corrected = add_row("c2", NOON)
    run = thin(now=NOON + timedelta(days=11))
    kept = {row.pk for row in CustomerFeature.objects.all()}
    assert kept == {day_before, other_type, other_version, corrected}
    assert not kept & {first, second, third}
    assert (run.state, run.done, run.total) == (Run.State.DONE, 256, 256)


@pytest.mark.usefixtures("db")
def test_all_rows_of_the_last_days_stay(settings: Settings) -> None:
    settings.HISTORY_RETENTION_DAYS = 10
    make_customer("c1", login=1)
    for hours in range(3):
        add_row("c1", NOON - timedelta(hours=hours))
    thin(now=NOON + timedelta(days=10))
    assert len([row for row in rows_of("c1") if row.timestamp <= NOON]) == 3


@pytest.mark.usefixtures("db")
def test_a_second_call_goes_on_with_the_run_that_is_under_way(settings: Settings) -> None:
    settings.HISTORY_RETENTION_DAYS = 10
    run = retention.begin_thinning(now=NOON)
    assert run is not None
    retention.thin_out(run)
    again = retention.begin_thinning(now=NOON)
    assert again == run
    assert RunChunk.objects.filter(run=run).count() == 255


@pytest.mark.usefixtures("db")
def test_without_a_retention_nothing_begins() -> None:
    assert retention.begin_thinning(now=NOON) is None


@pytest.mark.usefixtures("committed")
def test_expired_months_are_dropped_in_a_run(settings: Settings) -> None:
    settings.EVENT_RETENTION_DAYS = 365
    store_events(make_event(timestamp=ago(days=1000)), make_event(timestamp=ago(days=900)), make_event())
    retention.maintain_events(now=datetime.now(UTC))
    run = Run.objects.get(kind=Run.Kind.RETENTION)
    assert (run.state, run.done, run.total) == (Run.State.DONE, 2, 2)
    assert stored_events() == 1
    retention.maintain_events(now=datetime.now(UTC))
    assert Run.objects.count() == 1
    assert max(partitions.end_of(name) for name, _ in partitions.partitions()) > datetime.now(UTC) + timedelta(days=28)


@pytest.mark.usefixtures("db")
def test_a_run_whose_process_died_after_the_last_month_is_ended() -> None:
    run = Run.objects.create(kind=Run.Kind.RETENTION, total=2, done=1)
    retention.maintain_events(now=datetime.now(UTC))
    run.refresh_from_db()
    assert (run.state, run.done) == (Run.State.DONE, 2)


@pytest.mark.usefixtures("db")
def test_a_month_that_another_process_has_dropped_is_gone() -> None:
    before = partitions.partitions()
    partitions.drop_partition("events_event_200001")
    assert partitions.partitions() == before
