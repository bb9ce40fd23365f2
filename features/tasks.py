"""Celery's part: each task calls one function and can run twice. Messages are nudges; the work stands in PostgreSQL."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from celery import current_app, shared_task
from django.db import OperationalError

from events.ingest import forget_nudge
from features import refresh, runs, store
from features.models import Run
from features.weights import lifecycle

# A task gives its worker back after this long, so that fresh events never wait for a long piece of work.
SECONDS_PER_TURN = 1.0
PASSING = (OperationalError, *store.AWAY)


def work(step: Callable[[], int]) -> bool:
    """Runs `step` until it finds nothing to do or the turn is over. Returns whether something may be left."""
    end = time.monotonic() + SECONDS_PER_TURN
    while step():
        if time.monotonic() > end:
            return True
    return False


@shared_task(name="features.refresh_dirty", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def refresh_dirty() -> None:
    """Settles the due marks. Nudged on commit, and sent every second by beat."""
    forget_nudge()
    if work(refresh.refresh_dirty):
        current_app.send_task("features.refresh_dirty")


@shared_task(name="features.refresh_active", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def refresh_active() -> None:
    """Renews active customers before their TTL ends. Sent by beat."""
    if work(refresh.refresh_active):
        current_app.send_task("features.refresh_active", queue="batch")


@shared_task(name="features.rescore", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def rescore(run_id: int) -> None:
    """Goes on with a run that re-scores customers under new weights."""
    run = Run.objects.get(pk=run_id)
    if run.state == Run.State.RUNNING and (work(lambda: refresh.rescore(run)) or not runs.finish_rescore(run)):
        current_app.send_task("features.rescore", args=[run_id], queue="batch")


@shared_task(name="features.activate_due_weights", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def activate_due_weights() -> None:
    """Activates the scheduled weight sets whose moment has come. Sent by beat."""
    lifecycle.activate_due(now=datetime.now(UTC))


@shared_task(name="features.resume_runs")
def resume_runs() -> None:
    """Sends again the runs that nobody has gone on with for a while: their message or worker is gone."""
    for run_id in runs.stalled():
        current_app.send_task("features.rescore", args=[run_id], queue="batch")
