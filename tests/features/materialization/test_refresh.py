"""From marks to published values: none is lost if a worker dies, a server is away, or work is done twice at once."""

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from threading import Event
from types import ModuleType

import pytest
import pytest_django
import redis
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from events.models import DirtyCustomer
from events.models import Event as StoredEvent
from events.partitions import make_partitions
from featurehub.lib.redis_away import REDIS_AWAY
from features.materialization import pipeline, recompute, refresh
from features.materialization.client_values import set_customer_features
from features.models import Customer, Publication, Renewal
from features.offline import history
from features.online import outbox
from tests.at_once import at_once, in_a_child
from tests.away import redis_away
from tests.factories import ago, cached, make_event, make_purchase, make_version, rows_of, store_events

pytestmark = pytest.mark.usefixtures("committed")
SECONDS_AHEAD = 3.0  # of moments before which a test has something to do, also on a slow machine


def marked() -> list[str]:
    return sorted(DirtyCustomer.objects.values_list("customer_id", flat=True))


def wait_until(is_so: Callable[[], bool], *, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "It did not come about."
        time.sleep(0.02)


def test_events_become_values_in_history_and_in_redis() -> None:
    store_events(make_event(), make_purchase(amount=50.0))
    assert refresh.refresh_dirty() == 1
    (row,) = rows_of("c1")
    assert (row.features["page_views_30d"], row.features["purchase_amount_30d"]) == (1.0, 50.0)
    assert (cached("c1")["page_views_30d"], cached("c1")["purchase_amount_30d"]) == ("1.0", "50.0")
    assert (marked(), refresh.refresh_dirty()) == ([], 0)


def test_a_customer_with_many_marks_is_computed_once() -> None:
    for _ in range(3):
        store_events(make_event())
    assert refresh.refresh_dirty() == 3
    assert [row.features["page_views_30d"] for row in rows_of("c1")] == [3.0]


def test_the_longest_waiting_come_first_and_the_others_after_them() -> None:
    for number in range(5):
        store_events(make_event(customer_id=f"c{number}"))
    assert [refresh.refresh_dirty(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert [row.customer_id for number in range(5) for row in rows_of(f"c{number}")] == ["c0", "c1", "c2", "c3", "c4"]


def test_events_that_change_nothing_append_nothing_and_leave_no_mark() -> None:
    store_events(make_event())
    refresh.refresh_dirty()
    store_events(make_event(timestamp=ago(days=31)))
    assert refresh.refresh_dirty() == 1
    assert (len(rows_of("c1")), marked()) == (1, [])


def test_an_event_that_comes_while_its_customer_is_computed_is_not_forgotten() -> None:
    """The computation has read the events already; the new event's mark is not among those that it settles."""
    store_events(make_event())
    computed, ingested = Event(), Event()

    def compute_slowly() -> None:
        with transaction.atomic():
            refresh.refresh_dirty()
            computed.set()
            assert ingested.wait(20)

    def ingest_meanwhile() -> None:
        assert computed.wait(20)
        store_events(make_event())
        ingested.set()

    at_once(compute_slowly, ingest_meanwhile)
    assert marked() == ["c1"]
    refresh.refresh_dirty()
    assert cached("c1")["page_views_30d"] == "2.0"


@pytest.mark.parametrize(
    ("module", "step"),
    [(refresh, "compute_from_events"), (pipeline, "publish"), (refresh, "delete_marks")],
)
def test_what_a_worker_that_died_left_is_done_by_the_next(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str
) -> None:
    store_events(make_event(), make_event(customer_id="c2"))
    with monkeypatch.context() as patch:
        patch.setattr(module, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        assert in_a_child(refresh.refresh_dirty) == -signal.SIGKILL
    assert marked() == ["c1", "c2"]
    settled: list[int] = []

    def settle_both() -> bool:
        """The dead worker's locks may end while the next one looks, so that it finds one customer after the other."""
        settled.append(refresh.refresh_dirty())
        return sum(settled) == 2

    wait_until(settle_both)
    for customer_id in ("c1", "c2"):
        assert cached(customer_id)["page_views_30d"] == "1.0"
        assert len(rows_of(customer_id)) == 1
    assert marked() == []


def test_with_redis_away_values_are_in_history_and_published_when_it_is_back() -> None:
    store_events(make_event())
    with redis_away(), pytest.raises(REDIS_AWAY):
        refresh.refresh_dirty()
    assert (len(rows_of("c1")), marked(), cached("c1")) == (1, ["c1"], {})
    refresh.refresh_dirty()
    assert (len(rows_of("c1")), marked(), cached("c1")["page_views_30d"]) == (1, [], "1.0")


def test_workers_at_once_share_the_work_and_do_all_of_it() -> None:
    for number in range(40):
        store_events(make_event(customer_id=f"c{number}"))

    def work() -> int:
        return sum(iter(lambda: refresh.refresh_dirty(limit=3), 0))

    done = at_once(work, work, work, work)
    assert (sum(done) >= 40, marked()) == (True, [])
    assert [cached(f"c{number}")["page_views_30d"] for number in range(40)] == ["1.0"] * 40
    assert [len(rows_of(f"c{number}")) for number in range(40)] == [1] * 40


def test_every_flow_at_once_ends_with_the_right_values() -> None:
    """Two ingestions, two workers, renewals, recomputations and a writer work on the same customers."""
    names = [f"c{number}" for number in range(10)]
    flows = (ingest_backwards, ingest_backwards, work_off, work_off, lose_events_and_renew, recompute_everybody, write)
    at_once(*(partial(flow, names) for flow in flows), partial(recompute.recompute_customers, customer_ids=names))
    while refresh.refresh_dirty():
        pass
    for name in names:
        assert (cached(name)["page_views_30d"], cached(name)["tenure_days"]) == ("20.0", "9.0")
        # The last computation may have been one of an earlier moment.
        (newest,) = history.latest([name], versions=[("behavioral", "1.0")])
        assert newest.features["page_views_30d"] == 20.0


def ingest_backwards(names: list[str]) -> None:
    for _ in range(10):
        store_events(*(make_event(customer_id=name, timestamp=ago(seconds=1)) for name in reversed(names)))


def work_off(names: list[str]) -> None:
    for _ in range(15):
        refresh.refresh_dirty(limit=7)


def lose_events_and_renew(names: list[str]) -> None:
    for name in names:
        Customer.objects.filter(pk=name).update(recompute_at=ago(days=1))
        refresh.refresh_active(limit=3)


def recompute_everybody(names: list[str]) -> None:
    run = recompute.begin_recompute()
    while recompute.load_chunk(run):
        pass


def write(names: list[str]) -> None:
    for number in range(10):
        for name in names:
            features = {"tenure_days": float(number)}
            set_customer_features(name, feature_type="customer", version="1.0", features=features)


def test_an_event_dated_ahead_counts_from_its_moment_on_without_another_event() -> None:
    store_events(make_event(), make_event(timestamp=ago(seconds=-SECONDS_AHEAD)))
    refresh.refresh_dirty()
    assert (cached("c1")["page_views_30d"], marked()) == ("1.0", ["c1"])
    wait_until(lambda: refresh.refresh_dirty() == 1)
    assert cached("c1")["page_views_30d"] == "2.0"
    assert [row.features["page_views_30d"] for row in rows_of("c1")] == [1.0, 2.0]


@pytest.mark.parametrize("step", ["publish", "settle"])
def test_what_was_committed_before_a_death_is_published_by_the_sweep(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    event = make_event()
    store_events(event, make_event())
    refresh.refresh_dirty()
    # As if the event had left the window since then.
    make_partitions(ago(days=31), until=ago())
    StoredEvent.objects.filter(event_id=event["event_id"]).update(timestamp=ago(days=31))
    Customer.objects.update(recompute_at=ago(seconds=1))
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        assert in_a_child(refresh.refresh_departed) == -signal.SIGKILL
    assert cached("c1")["page_views_30d"] == ("2.0" if step == "publish" else "1.0")
    assert outbox.publish_overdue() == 0
    Publication.objects.update(due_at=Now())
    assert (outbox.publish_overdue(), outbox.publish_overdue()) == (1, 0)
    assert (cached("c1")["page_views_30d"], len(rows_of("c1"))) == ("1.0", 2)


def test_an_event_that_leaves_the_window_counts_no_more_without_another_event() -> None:
    """A customer whose last event it was is left alone after it."""
    moment = ago(days=30) + timedelta(seconds=SECONDS_AHEAD)
    leaving = [make_event(customer_id=name, timestamp=moment) for name in ("c1", "last")]
    store_events(*leaving, make_purchase(amount=5.0))
    refresh.refresh_dirty()
    assert [cached(name)["page_views_30d"] for name in ("c1", "last")] == ["1.0", "1.0"]
    wait_until(lambda: refresh.refresh_departed() == 2)
    assert (cached("c1")["page_views_30d"], cached("c1")["purchases_30d"]) == ("0.0", "1.0")
    assert cached("last")["page_views_30d"] == "0.0"
    assert Customer.objects.get(pk="c1").recompute_at > ago(days=-29)
    assert Customer.objects.get(pk="last").recompute_at is None
    assert refresh.refresh_departed() == 0


def test_each_event_that_leaves_a_window_of_an_hour_shows_within_seconds_and_costs_one_computation() -> None:
    """Two workers look as often as they can, and the computation of one is none of the other."""
    make_version("behavioral", logins_1h={"event_type": "login", "window": "1h"}, state="live")
    leave_in = (3.0, 5.5, 8.0)  # no two of them together, also on a slow machine
    begin, events = time.monotonic(), ago(hours=1)
    logins = [make_event(event_type="login", timestamp=events + timedelta(seconds=after)) for after in leave_in]
    store_events(*logins, make_event(event_type="login", timestamp=ago(days=3)), make_event(customer_id="c2"))
    refresh.refresh_dirty()
    assert cached("c1")["logins_1h"] == "3.0"
    shown: dict[str, float] = {}

    def work() -> int:
        computed = 0
        # Until half a second after the last is gone.
        while time.monotonic() < begin + shown.get("0.0", 20.0) + 0.5:
            computed += refresh.refresh_departed()
            shown.setdefault(cached("c1")["logins_1h"], time.monotonic() - begin)
            time.sleep(0.05)
        return computed

    assert sum(at_once(work, work)) == len(leave_in)
    assert [row.features["logins_1h"] for row in rows_of("c1") if row.version == "2.0"] == [3.0, 2.0, 1.0, 0.0]
    lags = [shown[value] - after for value, after in zip(("2.0", "1.0", "0.0"), leave_in, strict=True)]
    assert all(0 <= lag < 2.5 for lag in lags), lags
    assert Customer.objects.get(pk="c1").recompute_at > ago(days=-26)


def test_events_that_leave_a_window_together_cost_one_computation() -> None:
    make_version("behavioral", logins_1h={"event_type": "login", "window": "1h"}, state="live")
    moment = ago(hours=1) + timedelta(seconds=SECONDS_AHEAD)
    store_events(*(make_event(event_type="login", timestamp=moment) for _ in range(5)), make_event())
    refresh.refresh_dirty()
    assert cached("c1")["logins_1h"] == "5.0"
    wait_until(lambda: refresh.refresh_departed() == 1)
    assert (cached("c1")["logins_1h"], refresh.refresh_departed()) == ("0.0", 0)


def test_active_customers_are_renewed_before_their_ttl_ends(
    empty_redis: "redis.Redis[bytes]", settings: pytest_django.Settings
) -> None:
    """All are due again when half of the TTL is over, and have the whole of it again then."""
    settings.FEATURE_TTL = 1_000
    renew_all_due()
    store_events(make_purchase(), make_event(customer_id="c2"))
    refresh.refresh_dirty()
    published = {name: cached(name)["_behavioral"] for name in ("c1", "c2")}
    keys = [f"customer_features:{name}" for name in published]
    assert all(900 < empty_redis.ttl(key) <= 1_000 for key in keys)
    assert not Renewal.objects.filter(due_at__gt=Now() + timedelta(seconds=500)).exists()
    assert renew_all_due() == 0
    # As if half of the TTL were over.
    Renewal.objects.update(due_at=F("due_at") - timedelta(seconds=500))
    assert all(empty_redis.expire(key, 500) for key in keys)
    assert renew_all_due() == Renewal.objects.count()
    assert all(900 < empty_redis.ttl(key) <= 1_000 for key in keys)
    assert all(cached(name)["_behavioral"] > stamp for name, stamp in published.items())
    assert all(len(rows_of(name)) == 1 for name in published)


def renew_all_due() -> int:
    """Renew what is due. Return the number of buckets that were."""
    return sum(iter(refresh.refresh_active, 0))


def test_recomputing_as_of_an_earlier_moment_fills_history_and_leaves_the_newest_values() -> None:
    store_events(make_event(timestamp=ago(days=20)), make_event(timestamp=ago(days=5)))
    refresh.refresh_dirty()
    held, moment = cached("c1"), ago(days=10)
    computed_at = Customer.objects.get().computed_at
    assert recompute.recompute_customers(customer_ids=["c1"], as_of=moment) == 1
    assert [(row.timestamp, row.features["page_views_30d"]) for row in rows_of("c1")][-1] == (moment, 1.0)
    assert cached("c1") == held
    assert Customer.objects.get().computed_at == computed_at
    assert marked() == []
    assert not outbox.unpublished().exists()


def test_recomputing_names_only_those_named_and_tells_its_progress() -> None:
    store_events(*(make_event(customer_id=f"c{number}") for number in range(4)))
    chunks: list[int] = []
    assert (
        recompute.recompute_customers(customer_ids=["c1", "c3", "nobody"], progress=chunks.append) == sum(chunks) == 3
    )
    assert [bool(cached(f"c{number}")) for number in range(4)] == [False, True, False, True]


def test_where_there_is_nobody_there_is_no_work() -> None:
    assert recompute.recompute_customers(customer_ids=[]) == refresh.refresh_dirty() == refresh.refresh_departed() == 0
