"""Time series: what processes count is added up by minute, hour and ever, and events are counted once."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from events.models import Event
from featurehub.lib.traffic import AGE_AT_READ, READS, REQUEST_BOUNDS, REQUESTS, Counts, Traffic, traffic
from features.models import CountedEvents, SeriesPoint
from features.monitoring.event_counts import count_next_events, events_by_type
from features.monitoring.flush import flush_traffic
from features.monitoring.measuring import measure_store
from features.monitoring.series import (
    Points,
    Resolution,
    beginning,
    counted_ever,
    forget_old_points,
    points_of,
    quantile,
    sum_of,
)
from tests.away import postgres_away
from tests.factories import ago, make_client, make_customer, make_event, store_events, url_of

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def no_traffic() -> None:
    traffic.take()


def counts(resolution: str = Resolution.MINUTE) -> dict[str, int]:
    now = timezone.now()
    found = events_by_type(resolution=resolution, since=now - 40 * 24 * HOUR, now=now)
    return {event_type: sum(over_time.values()) for event_type, over_time in found.items()}


def look_and_count() -> None:
    """Look, count what the look has seen, and look again."""
    for _ in range(3):
        count_next_events(now=timezone.now())


def count_all() -> None:
    """Count until no event is left: a transaction of autovacuum's, or of an earlier test's process, puts it off."""
    newest = Event.objects.aggregate(newest=Max("pk"))["newest"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        look_and_count()
        if CountedEvents.objects.get().counted_to >= newest:
            return
        time.sleep(0.02)
    raise AssertionError("Events are left that are not counted.")


# --- Counting in memory --------------------------------------------------------------------------------------------


def test_threads_lose_no_count() -> None:
    counter = Traffic()

    def work() -> None:
        for _ in range(20_000):
            counter.observe((REQUESTS, ("GET", "x", "200")), 0.0003, bounds=REQUEST_BOUNDS)
            counter.count((READS, ("cache",)), number=2)
            counter.note_answer(("GET", "y", 200), 0.0003)
            counter.note_hit()
            counter.note_hits(2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = counter.take()
    assert taken[READS, ("cache",)].count == 80_000 * (2 + 3)
    requests = taken[REQUESTS, ("GET", "x", "200")]
    assert (requests.count, sum(requests.buckets), requests.buckets[2]) == (80_000, 80_000, 80_000)
    assert taken[REQUESTS, ("GET", "y", "200")].buckets == requests.buckets
    assert counter.take() == {}


def test_what_is_given_back_is_taken_again_with_what_came_meanwhile() -> None:
    counter = Traffic()
    counter.observe((REQUESTS, ()), 0.2, bounds=REQUEST_BOUNDS)
    taken = counter.take()
    counter.observe((REQUESTS, ()), 0.2, bounds=REQUEST_BOUNDS)
    counter.give_back(taken)
    assert counter.take()[REQUESTS, ()].count == 2


@pytest.mark.parametrize(("share", "value"), [(0.5, 0.05), (0.95, 0.095), (1.0, 0.1)])
def test_a_quantile_lies_within_its_bucket(share: float, value: float) -> None:
    assert quantile(share, buckets=[100, 0, 0], bounds=(0.1, 1.0)) == pytest.approx(value)


def test_a_quantile_of_nothing_is_none_and_of_what_is_above_all_bounds_the_last_bound() -> None:
    assert quantile(0.5, buckets=[0, 0], bounds=(1.0,)) is None
    assert quantile(0.5, buckets=[0, 3], bounds=(1.0,)) == 1.0


# --- Points --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_two_processes_add_to_one_point() -> None:
    now = timezone.now()
    for _ in range(2):
        points = Points(now=now)
        points.add((REQUESTS, ("GET", "x", "200")), Counts(2, 0.5, [1, 1]), at=now)
        points.write()
    assert SeriesPoint.objects.count() == 3
    for resolution in (Resolution.MINUTE, Resolution.HOUR):
        [over_time] = points_of(REQUESTS, resolution=resolution, since=now - HOUR, until=now).values()
        whole = sum_of(over_time.values())
        assert (whole.count, whole.total, whole.buckets) == (4, 1.0, [2, 2])
    assert counted_ever(REQUESTS)[REQUESTS]["GET", "x", "200"].count == 4


@pytest.mark.django_db
def test_points_past_their_retention_go_and_counters_stay() -> None:
    now = timezone.now()
    for at in (now, now - timedelta(days=3), now - timedelta(days=36)):
        points = Points(now=at)
        points.add((READS, ("cache",)), Counts(1), at=at)
        points.write()
    forget_old_points(now=now)
    kept = SeriesPoint.objects.order_by("resolution", "start").values_list("resolution", flat=True)
    assert list(kept) == ["ever", "hour", "hour", "minute"]
    assert counted_ever(READS)[READS]["cache",].count == 3


@pytest.mark.django_db
def test_requests_and_reads_of_the_api_are_counted_with_their_source_and_age() -> None:
    client = make_client()
    make_customer("c1", login=1)
    for _ in range(32):
        assert client.get(url_of("c1")).status_code == 200
    client.get(url_of("nobody"))
    client.get("/api/v1/definitions/")
    client.generic("BREW", url_of("c1"))
    flush_traffic()
    requests = {labels: point.count for labels, point in counted_ever(REQUESTS)[REQUESTS].items()}
    assert requests["GET", "customers/{customer_id}/features/", "200"] == 33
    assert requests["other", "customers/{customer_id}/features/", "405"] == 1
    assert requests["GET", "definitions/", "200"] == 1
    reads = {labels: point.count for labels, point in counted_ever(READS)[READS].items()}
    assert reads == {("cache",): 32, ("database",): 1}
    age = counted_ever(AGE_AT_READ)[AGE_AT_READ][()]
    assert age.count >= 1
    assert sum(age.buckets) == age.count


@pytest.mark.usefixtures("committed")
def test_while_postgresql_is_away_counts_wait() -> None:
    traffic.count((READS, ("cache",)), number=5)
    with postgres_away():
        flush_traffic()
    flush_traffic()
    assert counted_ever(READS)[READS]["cache",].count == 5


@pytest.mark.django_db
def test_a_measurement_is_the_mean_of_its_minute() -> None:
    now = timezone.now()
    make_customer("c1", login=1)
    store_events(make_event(customer_id="waits"))
    measure_store(now=now)
    measure_store(now=now)
    [over_time] = points_of("active_customers", resolution=Resolution.HOUR, since=now - HOUR, until=now).values()
    [point] = over_time.values()
    assert (point.count, point.total / point.count) == (2, 1.0)
    assert not counted_ever("active_customers")["active_customers"]


# --- Events --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_events_are_there_before_they_are_counted_and_once_afterwards() -> None:
    store_events(make_event(), make_event(event_type="login", timestamp=ago(days=3)))
    assert counts() == {"page_view": 1}
    assert counts(Resolution.HOUR) == {"page_view": 1, "login": 1}


@pytest.mark.usefixtures("committed")
def test_committed_events_are_counted_once() -> None:
    store_events(*(make_event() for _ in range(30)), make_event(event_type="login", timestamp=ago(days=20)))
    count_all()
    store_events(make_event(event_type="purchase"))
    for _ in range(3):
        assert counts(Resolution.HOUR) == {"page_view": 30, "login": 1, "purchase": 1}
        count_all()
    ever = {labels[0]: point.count for labels, point in counted_ever("events")["events"].items()}
    assert ever == {"page_view": 30, "login": 1, "purchase": 1}
    assert Event.objects.count() == 32


@pytest.mark.usefixtures("committed")
def test_events_of_a_transaction_that_commits_late_are_counted() -> None:
    stored, go_on = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            store_events(make_event(event_type="login"))
            stored.set()
            go_on.wait(30)
        connection.close()

    thread = threading.Thread(target=late)
    thread.start()
    assert stored.wait(30)
    store_events(make_event())
    look_and_count()
    assert counts() == {"page_view": 1}
    go_on.set()
    thread.join()
    count_all()
    assert counts() == {"page_view": 1, "login": 1}
    ever = {labels[0]: point.count for labels, point in counted_ever("events")["events"].items()}
    assert ever == {"page_view": 1, "login": 1}


@pytest.mark.django_db
def test_an_event_of_the_future_is_not_shown_before_its_time() -> None:
    store_events(make_event(timestamp=ago(minutes=-3)))
    assert counts() == {}


def test_minutes_and_hours_begin_in_utc() -> None:
    moment = timezone.now()
    assert beginning(moment, Resolution.MINUTE).second == 0
    assert beginning(moment, Resolution.HOUR).minute == 0
