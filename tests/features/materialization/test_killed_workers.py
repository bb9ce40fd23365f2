"""Workers killed by SIGKILL in the middle of their work: every customer ends as without a kill."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from events.models import DirtyCustomer, Event
from events.validation import NewEvent
from featurehub.lib.clock import microseconds
from features.engines import in_process
from features.formulas.behavioral import behavioral_features
from features.materialization import recompute, refresh, runs
from features.models import Customer, CustomerFeature, Publication, Renewal, Run, RunChunk
from features.online import outbox
from tests.factories import ago, cached, first_weights, make_event, make_purchase, store_events
from tests.reference import parse_stamp, rfm_score

pytestmark = pytest.mark.usefixtures("committed")

CUSTOMERS = [f"c{number}" for number in range(120)]
# The worker prints `at work` before it begins, so that it is not killed while it imports.
WORKER = """
import django
django.setup()
from features.materialization import recompute, refresh, renewal
from features.models import Run
from features.online import outbox
{setup}
print("at work", flush=True)
while {step}:
    pass
print("done", flush=True)
"""
REFRESH_DIRTY = {"setup": "", "step": "refresh.refresh_dirty(limit=7)"}
REFRESH_ACTIVE = {"setup": "renewal.RENEWED_PER_CHUNK = 3", "step": "refresh.refresh_active(limit=7)"}
OUTBOX = {"setup": "", "step": "outbox.publish_overdue()"}
RECOMPUTE = {
    "setup": "run = Run.objects.get(); recompute.PAGES_PER_CHUNK = 1",
    "step": "recompute.load_chunk(run)",
}


@contextmanager
def worker(work: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a worker process on the test database; it is at work when the block begins."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(**work)],
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "featurehub.settings"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def kill_some(work: dict[str, str], *, times: int) -> int:
    """Start workers one after the other and kill each after a moment. Return the number that were killed at work."""
    killed = 0
    for _ in range(times):
        with worker(work) as process:
            time.sleep(random.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            killed += process.stdout.readline() != "done\n"
    return killed


def finish(work: dict[str, str]) -> None:
    """Run a worker to its end."""
    with worker(work) as process:
        assert process.wait(timeout=60) == 0


def store_log() -> None:
    random.seed(1)
    for customer_id in CUSTOMERS:
        views = [make_event(customer_id=customer_id, session_id="s", timestamp=ago(hours=hour)) for hour in range(5)]
        purchases = [make_purchase(customer_id=customer_id, amount=random.randrange(1, 500), category="a")
                     for _ in range(random.randrange(4))]  # fmt: skip
        store_events(*views, *purchases)


def expire_claims() -> None:
    """Let the time pass for which a claim is left to its worker."""
    Renewal.objects.filter(due_at__gt=Now()).update(due_at=Now())
    RunChunk.objects.update(due_at=Now() - timedelta(seconds=1))
    Publication.objects.update(due_at=Now() - timedelta(seconds=1))


def assert_all_is_as_without_a_kill() -> None:
    """Assert that history and Redis hold, for each customer, the in-process engine's values of the stored events."""
    assert not DirtyCustomer.objects.exists()
    while outbox.publish_overdue():
        pass
    assert not outbox.unpublished().exists()
    for customer_id in CUSTOMERS:
        held = cached(customer_id)
        as_of, _ = parse_stamp(held["_behavioral"].encode())
        log = [
            NewEvent(
                customer_id=customer_id,
                event_id=event.event_id,
                event_type=event.event_type,  # type: ignore[arg-type]
                timestamp=event.timestamp,
                session_id=event.session_id,
                metadata={"amount": event.amount, "category": event.category},
            )
            for event in Event.objects.filter(customer_id=customer_id)
        ]
        activity = in_process.aggregate(log, customer_id=customer_id, as_of=as_of, window_days=settings.WINDOW_DAYS)
        values = behavioral_features(
            activity, weights=first_weights(), as_of_us=microseconds(as_of), window_days=settings.WINDOW_DAYS
        )
        expected = {name: float(column[0]) for name, column in values.items()}
        assert {name: float(held[name]) for name in expected} == expected
        score = rfm_score(
            values["recency_score"], frequency=values["frequency_score"], monetary=values["monetary_score"]
        )
        assert float(held["rfm_score"]) == score[0]
        row = CustomerFeature.objects.filter(customer_id=customer_id, feature_type="behavioral").latest("id")
        assert {**row.features, "recency_score": 0} == {**expected, "recency_score": 0}
        assert row.metadata["activity"] == activity.to_records()[0]


def test_workers_killed_while_they_settle_marks() -> None:
    store_log()
    assert kill_some(REFRESH_DIRTY, times=2)
    finish(REFRESH_DIRTY)
    assert_all_is_as_without_a_kill()


def test_workers_killed_while_they_refresh_active_customers() -> None:
    store_log()
    finish(REFRESH_DIRTY)
    half = CUSTOMERS[::2]
    Customer.objects.filter(pk__in=half).update(recompute_at=ago(minutes=1))  # computed again from their events
    Renewal.objects.update(due_at=Now())
    assert kill_some(REFRESH_ACTIVE, times=2)
    expire_claims()
    finish(REFRESH_ACTIVE)
    finish(OUTBOX)
    assert_all_is_as_without_a_kill()
    assert Renewal.objects.filter(renewed_at__isnull=False).count() == 256


def test_workers_killed_while_they_recompute_everybody() -> None:
    store_log()
    finish(REFRESH_DIRTY)
    CustomerFeature.objects.all().delete()
    recompute.PAGES_PER_CHUNK, pages = 1, recompute.PAGES_PER_CHUNK
    try:
        run = recompute.begin_recompute()
    finally:
        recompute.PAGES_PER_CHUNK = pages
    assert kill_some(RECOMPUTE, times=2)
    expire_claims()
    finish(RECOMPUTE)
    assert_all_is_as_without_a_kill()
    run.refresh_from_db()
    assert (run.state, run.done) == (Run.State.DONE, len(CUSTOMERS))
    assert runs.stalled_runs() == []
    assert refresh.refresh_dirty() == 0
