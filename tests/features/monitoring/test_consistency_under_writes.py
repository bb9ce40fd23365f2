"""While events, values and renewals come in all the time, a check finds what was corrupted, and nothing else."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db.models import QuerySet
from django_redis import get_redis_connection

from features.materialization import refresh
from features.materialization.client_values import set_customer_features
from features.models import ConsistencyCheck, Renewal, Run
from features.monitoring import consistency
from features.online import outbox
from features.online.layout import key_of
from tests.at_once import at_once
from tests.factories import ago, make_event, make_purchase, store_events
from tests.hashes import make_versions

SECONDS = 20.0
SECONDS_AT_MOST = 240.0
CUSTOMERS = [f"c{number}" for number in range(30)]
chance = random.Random(7)


def checks_done() -> QuerySet[ConsistencyCheck]:
    return ConsistencyCheck.objects.filter(run__state=Run.State.DONE)


def someone() -> str:
    return chance.choice(CUSTOMERS)


def write_events() -> None:
    """Store events of some customers, now and late, one of them twice."""
    event = make_event(customer_id=someone(), event_type=chance.choice(["login", "page_view"]))
    late = make_purchase(customer_id=someone(), timestamp=ago(hours=chance.uniform(1, 24 * 29)))
    store_events(event, event, late)
    time.sleep(0.02)


def write_values() -> None:
    set_customer_features(
        someone(), feature_type="contextual", version="1.0", features={"cart_value": chance.uniform(0, 100)}
    )
    time.sleep(0.02)


def renew() -> None:
    Renewal.objects.update(due_at=ago(seconds=1))
    while refresh.refresh_active():
        pass
    outbox.publish_overdue()
    time.sleep(0.1)


def refresh_marks() -> None:
    if not refresh.refresh_dirty(limit=5):
        time.sleep(0.01)


def check() -> None:
    run = consistency.begin_check(now=datetime.now(UTC))
    assert run is not None
    consistency.check_next(run, limit=7)


def repeated(function: Callable[[], None]) -> Callable[[], int]:
    """Return a function that calls this one for SECONDS, and until two checks are done, and returns how often."""

    def repeat() -> int:
        times, begun = 0, time.monotonic()
        while time.monotonic() < begun + SECONDS or checks_done().count() < 2:
            assert time.monotonic() < begun + SECONDS_AT_MOST
            function()
            times += 1
        return times

    return repeat


@pytest.mark.usefixtures("committed")
def test_a_check_under_constant_writes_finds_what_was_corrupted_and_nothing_else() -> None:
    make_versions()
    store_events(*(make_purchase(customer_id=each, timestamp=ago(days=3)) for each in [*CUSTOMERS, "untouched"]))
    refresh.refresh_dirty()
    get_redis_connection("default").hset(key_of("untouched"), "purchases_30d", "2.0")
    parts = [write_events, write_values, renew, refresh_marks, refresh_marks, check]
    times = at_once(*(repeated(part) for part in parts))
    assert min(times) > 1
    for made in checks_done():
        assert {row.customer_id: row.findings for row in made.inconsistent.all()}.keys() == {"untouched"}
        assert made.compared + made.unsettled == len(CUSTOMERS) + 1
        assert made.compared > len(CUSTOMERS) / 2
