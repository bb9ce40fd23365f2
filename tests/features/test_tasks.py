"""Celery tasks: every message finds its task and a worker that listens, and a task can run twice."""

import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django_celery_beat.models import PeriodicTask
from django_redis import get_redis_connection

from events import ingest
from events.ingest import NUDGE, REFRESH_TASK
from events.models import DirtyCustomer
from featurehub.lib.redis_away import REDIS_AWAY
from features import tasks
from tests.away import redis_away
from tests.factories import ago, cached, make_event, store_events

PROCFILE = (Path(__file__).resolve().parents[2] / "Procfile").read_text()
NUDGE_KEY = f":1:{NUDGE}"


def queued(queue: str = "realtime") -> int:
    return int(get_redis_connection("default").llen(queue))


def test_what_beat_sends_is_a_task_in_a_queue_that_the_worker_takes_from(db: None) -> None:
    current_app.loader.import_default_modules()
    queues = re.search(r"^worker: .*--queues (\S+)", PROCFILE, re.MULTILINE)
    assert queues is not None
    schedule = PeriodicTask.objects.exclude(task="celery.backend_cleanup")
    assert schedule.count() >= 3
    for entry in schedule:
        assert entry.task in current_app.tasks, entry
        assert entry.queue in queues[1].split(","), entry
    assert {REFRESH_TASK, "features.refresh_active", "features.refresh_departed"} <= set(
        schedule.filter(enabled=True).values_list("task", flat=True)
    )


def test_customers_that_an_event_has_left_are_looked_for_every_second_beside_fresh_events(db: None) -> None:
    entry = PeriodicTask.objects.get(task="features.refresh_departed")
    assert (entry.interval.every, entry.interval.period, entry.queue) == (1, "seconds", "realtime")
    store_events(make_event(timestamp=ago(days=30) + timedelta(seconds=1)))
    tasks.refresh_dirty_task()
    time.sleep(1)
    tasks.refresh_departed_task()
    tasks.refresh_departed_task()
    assert (cached("c1")["page_views_30d"], queued()) == ("0.0", 0)


def test_the_nudge_of_an_ingestion_is_a_task(db: None) -> None:
    assert tasks.refresh_dirty_task.name == REFRESH_TASK
    assert current_app.conf.task_default_queue == "realtime"


def test_a_message_may_be_lost_or_come_twice_without_harm() -> None:
    """A message is confirmed after its task ran, and is back in the queue where its worker died."""
    assert current_app.conf.task_acks_late
    assert current_app.conf.task_reject_on_worker_lost


def test_the_task_settles_every_due_mark_and_can_run_twice(db: None) -> None:
    for number in range(3):
        store_events(make_event(customer_id=f"c{number}"))
    tasks.refresh_dirty_task()
    tasks.refresh_dirty_task()
    assert [cached(f"c{number}")["page_views_30d"] for number in range(3)] == ["1.0"] * 3
    assert (DirtyCustomer.objects.count(), queued()) == (0, 0)


def test_a_worker_that_has_begun_can_be_nudged_again(committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "NUDGE_SECONDS", 60)  # longer than this test takes on a slow machine
    store_events(make_event())
    assert get_redis_connection("default").exists(NUDGE_KEY)
    tasks.refresh_dirty_task()
    assert not get_redis_connection("default").exists(NUDGE_KEY)
    store_events(make_event())
    assert queued() == 2


def test_a_turn_ends_in_time_and_another_one_is_sent(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "SECONDS_PER_TURN", 0.0)
    store_events(make_event())
    tasks.refresh_dirty_task()
    assert (DirtyCustomer.objects.count(), queued()) == (0, 1)


@pytest.mark.parametrize(("turn", "left", "steps"), [(1000.0, False, 4), (0.0, True, 1)])
def test_a_turn_goes_on_until_nothing_is_left_or_it_is_over(
    monkeypatch: pytest.MonkeyPatch, turn: float, left: bool, steps: int
) -> None:
    monkeypatch.setattr(tasks, "SECONDS_PER_TURN", turn)
    results: Any = iter([5, 1, 3, 0])
    taken = []

    def step() -> int:
        taken.append(next(results))
        return taken[-1]

    assert tasks.work(step) is left
    assert len(taken) == steps


def test_with_redis_away_the_task_fails_with_an_error_that_is_tried_again(db: None) -> None:
    store_events(make_event())
    with redis_away(), pytest.raises(REDIS_AWAY) as raised:
        tasks.refresh_dirty_task()
    assert isinstance(raised.value, tasks.refresh_dirty_task.autoretry_for)
    assert DirtyCustomer.objects.count() == 1
