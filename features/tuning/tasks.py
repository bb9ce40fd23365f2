"""Celery tasks of tuning: each calls one function and can run twice."""

import time
from datetime import UTC, datetime

from celery import current_app, shared_task
from django.db import OperationalError

from features.models import FeatureType
from features.registry.snapshot import registry_snapshot
from features.tuning import backtest, fitting, shadow

# A backtest gives its worker back after this long, so that other batch work gets its turn.
BACKTEST_TURN_SECONDS = 2.0


@shared_task(name=backtest.TASK, autoretry_for=(OperationalError,), retry_backoff=True, max_retries=5)
def run_backtest(backtest_id: int) -> None:
    """Go on with a backtest."""
    end = time.monotonic() + BACKTEST_TURN_SECONDS
    while backtest.score_next_day(backtest_id):
        if time.monotonic() > end:
            backtest.send(backtest_id)
            return
    backtest.finish_backtest(backtest_id)


@shared_task(name="features.resume_backtests")
def resume_backtests() -> None:
    """Send again the backtests that no worker has gone on with for a while: their message or worker is gone."""
    for backtest_id in backtest.stalled_backtests():
        current_app.send_task(backtest.TASK, args=[backtest_id], queue="batch")


@shared_task(name="features.observe_shadows", autoretry_for=(OperationalError,), retry_backoff=True, max_retries=5)
def observe_shadows_task() -> None:
    """Store today's figures of the sets in shadow. Sent by beat."""
    shadow.observe_shadows(now=datetime.now(UTC))


@shared_task(name="features.fit_weights")
def fit_weights() -> None:
    """Fit weights to later purchases and propose them where they are better. Off until enabled in the admin."""
    fitting.fit_and_propose(
        version=registry_snapshot.get().live[FeatureType.BEHAVIORAL], today=datetime.now(UTC).date()
    )
