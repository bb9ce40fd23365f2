"""Celery's part: each task calls one function and can run twice. Messages are nudges; the work stands in PostgreSQL."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from celery import current_app, shared_task
from django.db import OperationalError

from events.ingest import forget_nudge
from featurehub.lib.redis_away import REDIS_AWAY
from features.lifecycle import weight_set_steps
from features.materialization import recompute, refresh, retention, runs
from features.materialization.rescore import rescore
from features.models import Run
from features.online import outbox

# A task gives its worker back after this long, so that fresh events never wait for a long piece of work.
SECONDS_PER_TURN = 1.0
PASSING = (OperationalError, *REDIS_AWAY)


def work(step: Callable[[], int]) -> bool:
    """Runs `step` until it finds nothing to do or the turn is over. Returns whether something may be left."""
    end = time.monotonic() + SECONDS_PER_TURN
    while step():
        if time.monotonic() > end:
            return True
    return False


@shared_task(name="features.refresh_dirty", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def refresh_dirty_task() -> None:
    """Settles the due marks. Nudged on commit, and sent every second by beat."""
    forget_nudge()
    if work(refresh.refresh_dirty):
        current_app.send_task("features.refresh_dirty")


@shared_task(name="features.publish_overdue", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def publish_overdue_task() -> None:
    """Publishes what was committed by processes that have died since, or while Redis was away. Sent by beat."""
    if work(outbox.publish_overdue):
        current_app.send_task("features.publish_overdue")


@shared_task(name="features.refresh_active", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def refresh_active_task() -> None:
    """Renews active customers before their TTL ends. Sent by beat."""
    if work(refresh.refresh_active):
        current_app.send_task("features.refresh_active", queue="batch")


@shared_task(name="features.rescore", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def rescore_task(run_id: int) -> None:
    """Goes on with a run that re-scores customers under new weights."""
    run = Run.objects.get(pk=run_id)
    if run.state == Run.State.RUNNING and (work(lambda: rescore(run)) or not runs.finish_rescore(run)):
        current_app.send_task("features.rescore", args=[run_id], queue="batch")


@shared_task(name="features.activate_due_weights", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def activate_due_weights_task() -> None:
    """Activates the scheduled weight sets whose moment has come. Sent by beat."""
    weight_set_steps.activate_due(now=datetime.now(UTC))


@shared_task(name="features.recompute", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def recompute_task(run_id: int) -> None:
    """Goes on with a run that recomputes everybody."""
    go_on(run_id, step=recompute.load_chunk)


@shared_task(name="features.thin_out", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def thin_out_task(run_id: int) -> None:
    """Goes on with a run that thins out the history."""
    go_on(run_id, step=retention.thin_out)


@shared_task(name="features.thin_history")
def thin_history_task() -> None:
    """Begins to thin out the history past its retention. Sent by beat."""
    run = retention.begin_thinning(now=datetime.now(UTC))
    if run is not None:
        thin_out_task.delay(run.pk)


@shared_task(name="features.maintain_events", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def maintain_events_task() -> None:
    """Makes months of events ahead and drops expired ones. Sent by beat."""
    retention.maintain_events(now=datetime.now(UTC))


def go_on(run_id: int, *, step: Callable[[Run], int]) -> None:
    """A turn at a run that is in chunks; another one is sent where something is left."""
    run = Run.objects.get(pk=run_id)
    if run.state == Run.State.RUNNING and work(lambda: step(run)):
        current_app.send_task(TASKS[run.kind], args=[run_id], queue="batch")


@shared_task(name="features.resume_runs")
def resume_runs_task() -> None:
    """Sends again the runs that nobody has gone on with for a while, their message or worker being gone, and the run
    that has left customers behind."""
    for run in [*runs.stalled_runs(), *runs.catch_up()]:
        current_app.send_task(TASKS[run.kind], args=[run.pk], queue="batch")


TASKS: dict[str, str] = {
    Run.Kind.RESCORE: rescore_task.name,
    Run.Kind.RECOMPUTE: recompute_task.name,
    Run.Kind.THINNING: thin_out_task.name,
}
