"""Celery tasks: each calls one function and can run twice. Messages are nudges; what is to be done is in PostgreSQL."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from celery import current_app, shared_task
from django.db import OperationalError

from events.ingest import REFRESH_TASK, forget_nudge
from featurehub.lib.redis_away import REDIS_AWAY
from features.lifecycle import weight_set_steps
from features.materialization import (
    backfill,
    customer_lists,
    recompute,
    recovery,
    refresh,
    rescore,
    retention,
    runs,
)
from features.materialization.runs import TASK_NAMES
from features.models import FeatureType, Run
from features.monitoring import consistency, event_counts, event_volume, measuring, profiles
from features.online import outbox
from features.registry.snapshot import registry_snapshot
from features.tuning import backtest, fitting, shadow

# A task gives its worker back after this long, so that fresh events never wait for long work.
SECONDS_PER_TURN = 1.0
# Scoring a past day takes most of a turn.
SECONDS_PER_BACKTEST_TURN = 2.0
PASSING = (OperationalError, *REDIS_AWAY)
PUBLISH_OVERDUE_TASK = "features.publish_overdue"
REFRESH_DEPARTED_TASK = "features.refresh_departed"
REFRESH_ACTIVE_TASK = "features.refresh_active"
PROFILE_VALUES_TASK = "features.profile_values"
COUNT_EVENTS_TASK = "features.count_events"


def work(step: Callable[[], int], *, seconds: float | None = None) -> bool:
    """Run `step` until it finds nothing to do or the turn is over. Return whether something may be left."""
    end = time.monotonic() + (SECONDS_PER_TURN if seconds is None else seconds)
    while step():
        if time.monotonic() > end:
            return True
    return False


# --- Refresh and publication ------------------------------------------------------------------------------------------


@shared_task(name=REFRESH_TASK, autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def refresh_dirty_task() -> None:
    """Settle the due marks. Sent on commit, and every second by beat."""
    forget_nudge()
    if work(refresh.refresh_dirty):
        current_app.send_task(REFRESH_TASK)


@shared_task(name=PUBLISH_OVERDUE_TASK, autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def publish_overdue_task() -> None:
    """Publish what was committed by processes that died since, or that Redis did not take or has lost. Sent by beat."""
    recovery.recover()
    if work(outbox.publish_overdue):
        current_app.send_task(PUBLISH_OVERDUE_TASK)


@shared_task(name=REFRESH_DEPARTED_TASK, autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def refresh_departed_task() -> None:
    """Compute the next customers that an event has left, whatever else waits. Sent by beat.

    It is one chunk: where more are due, `refresh_active_task` computes them, so that fresh events do not wait for them.
    """
    refresh.refresh_departed()


@shared_task(name=REFRESH_ACTIVE_TASK, autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def refresh_active_task() -> None:
    """Compute customers that an event has left, and renew active customers before their TTL ends. Sent by beat."""
    if work(refresh.refresh_active):
        current_app.send_task(REFRESH_ACTIVE_TASK, queue="batch")


# --- Runs -------------------------------------------------------------------------------------------------------------


@shared_task(name=TASK_NAMES[Run.Kind.RESCORE], autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def rescore_task(run_id: int) -> None:
    """Go on with a run that scores customers under new weights."""
    run = Run.objects.get(pk=run_id)
    if run.state == Run.State.RUNNING and (work(lambda: rescore.rescore(run)) or not runs.finish_rescore(run)):
        send_again(run)


@shared_task(name=TASK_NAMES[Run.Kind.RECOMPUTE], autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def recompute_task(run_id: int) -> None:
    """Go on with a run that recomputes every customer."""
    go_on(run_id, step=recompute.load_chunk)


@shared_task(name=TASK_NAMES[Run.Kind.BACKFILL], autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def backfill_task(run_id: int) -> None:
    """Go on with a run that computes the past of a version."""
    go_on(run_id, step=backfill.backfill_next)


@shared_task(name=TASK_NAMES[Run.Kind.THINNING], autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def thin_out_task(run_id: int) -> None:
    """Go on with a run that thins out the history."""
    go_on(run_id, step=retention.thin_out)


@shared_task(name="features.begin_check", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def begin_check_task() -> None:
    """Begin to compare a sample of customers with their events. Sent by beat."""
    run = consistency.begin_check(now=datetime.now(UTC))
    if run is not None:
        runs.enqueue_run(run)


@shared_task(name=TASK_NAMES[Run.Kind.CHECK], autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def check_task(run_id: int) -> None:
    """Go on with a check of consistency."""
    go_on(run_id, step=consistency.check_next)


@shared_task(name=TASK_NAMES[Run.Kind.REPAIR], autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def repair_task(run_id: int) -> None:
    """Go on with the repair of customers that a check found wrong."""
    go_on(run_id, step=consistency.repair_next)


@shared_task(name=TASK_NAMES[Run.Kind.LISTS], autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def fill_lists_task(run_id: int) -> None:
    """Go on with a run that fills in the customer lists."""
    go_on(run_id, step=customer_lists.fill_next)


def go_on(run_id: int, *, step: Callable[[Run], int]) -> None:
    """Work one turn on a run that is in chunks, and send the task again where something may be left."""
    run = Run.objects.get(pk=run_id)
    if run.state == Run.State.RUNNING and work(lambda: step(run)):
        send_again(run)


def send_again(run: Run) -> None:
    current_app.send_task(TASK_NAMES[run.kind], args=[run.pk], queue="batch")


@shared_task(name="features.resume_runs")
def resume_runs_task() -> None:
    """Send again the runs whose message or worker is gone, and the run that has left customers behind.

    Begin to fill in the customer lists where they are to hold something else than they were filled with.
    """
    begun = customer_lists.begin_filling()
    for run in [*runs.stalled_runs(), *runs.catch_up(), *([begun] if begun else ())]:
        send_again(run)


# --- Monitoring of values ---------------------------------------------------------------------------------------------


@shared_task(name=PROFILE_VALUES_TASK, autoretry_for=(OperationalError,), retry_backoff=True, max_retries=5)
def profile_values_task() -> None:
    """Go on with the profile of a day that is over. Sent by beat."""
    if work(lambda: profiles.profile_next(now=datetime.now(UTC))):
        current_app.send_task(PROFILE_VALUES_TASK, queue="batch")


@shared_task(name=COUNT_EVENTS_TASK, autoretry_for=(OperationalError,), retry_backoff=True, max_retries=5)
def count_events_task() -> None:
    """Count the events of the last hours. Sent by beat."""
    if work(lambda: event_volume.count_next(now=datetime.now(UTC))):
        current_app.send_task(COUNT_EVENTS_TASK, queue="batch")


# --- Retention --------------------------------------------------------------------------------------------------------


@shared_task(name="features.thin_history")
def thin_history_task() -> None:
    """Begin to thin out the history past its retention. Sent by beat."""
    run = retention.begin_thinning(now=datetime.now(UTC))
    if run is not None:
        thin_out_task.delay(run.pk)


@shared_task(name="features.maintain_events", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def maintain_events_task() -> None:
    """Create months of events ahead and drop expired ones. Sent by beat."""
    retention.maintain_events(now=datetime.now(UTC))


# --- The Overview's charts --------------------------------------------------------------------------------------------


@shared_task(name="features.count_arrivals", autoretry_for=(OperationalError,), retry_backoff=True, max_retries=2)
def count_arrivals_task() -> None:
    """Count the events that have arrived. Sent by beat, also where a turn has not counted all."""
    work(lambda: event_counts.count_next_events(now=datetime.now(UTC)))


@shared_task(name="features.measure", autoretry_for=(OperationalError,), retry_backoff=True, max_retries=2)
def measure_task() -> None:
    """Measure the customers and the backlog. Sent by beat."""
    measuring.measure_store(now=datetime.now(UTC))


# --- Weights ----------------------------------------------------------------------------------------------------------


@shared_task(name="features.activate_due_weights", autoretry_for=PASSING, retry_backoff=True, max_retries=5)
def activate_due_weights_task() -> None:
    """Activate the scheduled weight sets whose moment has come. Sent by beat."""
    weight_set_steps.activate_due(now=datetime.now(UTC))


@shared_task(name=backtest.BACKTEST_TASK, autoretry_for=(OperationalError,), retry_backoff=True, max_retries=5)
def run_backtest_task(backtest_id: int) -> None:
    """Go on with a backtest."""
    if work(lambda: backtest.score_next_day(backtest_id), seconds=SECONDS_PER_BACKTEST_TURN):
        backtest.enqueue_backtest(backtest_id)
    else:
        backtest.finish_backtest(backtest_id)


@shared_task(name="features.resume_backtests")
def resume_backtests_task() -> None:
    """Send again the backtests whose message or worker is gone."""
    for backtest_id in backtest.stalled_backtests():
        current_app.send_task(backtest.BACKTEST_TASK, args=[backtest_id], queue="batch")


@shared_task(name="features.observe_shadows", autoretry_for=(OperationalError,), retry_backoff=True, max_retries=5)
def observe_shadows_task() -> None:
    """Keep today's figures of the weight sets in shadow. Sent by beat."""
    shadow.observe_shadows(now=datetime.now(UTC))


@shared_task(name=fitting.FITTING_TASK, autoretry_for=(OperationalError,), retry_backoff=True, max_retries=5)
def fit_weights_task() -> None:
    """Fit weights to later purchases and propose them where they are better. Off until enabled in the admin."""
    fitting.fit_and_propose(
        version=registry_snapshot.get().live[FeatureType.BEHAVIORAL], today=datetime.now(UTC).date()
    )
