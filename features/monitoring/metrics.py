"""Prometheus metrics of the feature store, read from PostgreSQL at each scrape.

`overview` keeps the reads cheap.
"""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import Error
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from features.models import Run
from features.monitoring import consistency, overview
from features.online import outbox

logger = logging.getLogger(__name__)


class FeatureStoreCollector(Collector):
    """Gauges of the backlog, the customers and the runs; `database_up` alone where PostgreSQL does not answer."""

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing, so that registering the collector reads nothing."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauges = read_gauges()
        yield gauge("database_up", "1 if PostgreSQL accepts connections, else 0", float(bool(gauges)))
        yield from gauges


def read_gauges() -> list[GaugeMetricFamily]:
    """Return the gauges that are read from PostgreSQL; none where it does not answer."""
    now = timezone.now()
    try:
        return [*backlog_gauges(now), *customer_gauges(now), *consistency_gauges(now), last_run_gauge()]
    except Error as error:
        logger.warning("PostgreSQL does not answer, its metrics are left out: %s", error)
        return []


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"featurehub_{name}", text, value=value)


def backlog_gauges(now: datetime) -> list[GaugeMetricFamily]:
    waiting = overview.backlog(now=now)
    return [
        gauge("due_marks", "Customers in the backlog (estimated above 10,000)", waiting.due.number),
        gauge(
            "oldest_due_mark_age_seconds",
            "Age in seconds of the oldest entry of the backlog, 0 if it is empty",
            waiting.oldest_seconds,
        ),
        gauge(
            "overdue_publications",
            "Committed changes that were not published to Redis in time",
            outbox.overdue().count(),
        ),
    ]


def customer_gauges(now: datetime) -> list[GaugeMetricFamily]:
    fresh = overview.freshness(now=now)
    return [
        gauge("customers", "Customers (estimated above 10,000)", overview.customers().number),
        gauge(
            "customers_active",
            "Active customers: with events in the window (estimated above 10,000)",
            fresh.active.number,
        ),
        gauge(
            "customers_behind",
            "Active customers that were not refreshed within a TTL, so that Redis has dropped them",
            fresh.behind.number,
        ),
        gauge(
            "versions_put_aside",
            "Versions that are put aside because their computation failed",
            float(overview.versions_put_aside().count()),
        ),
    ]


def consistency_gauges(now: datetime) -> list[GaugeMetricFamily]:
    """Return the gauges of the last check of consistency that is done; none before the first one."""
    last = consistency.finished_checks().first()
    if last is None:
        return []
    return [
        gauge(
            "inconsistent_customers",
            "Customers that the last check of consistency found wrong and that are not repaired yet",
            float(consistency.to_repair(last).count()),
        ),
        gauge(
            "inconsistent_share_below",
            "Share of all customers of which fewer were wrong at the last check, with its confidence",
            consistency.share_below(last),
        ),
        gauge(
            "consistency_check_age_seconds",
            "Time since the last check of consistency was done",
            (now - last.run.updated_at).total_seconds(),
        ),
    ]


def last_run_gauge() -> GaugeMetricFamily:
    """Return a gauge that is 1 for the state of the newest run of each kind, and 0 for the other states."""
    states = GaugeMetricFamily(
        "featurehub_last_run",
        "State of the newest job of each kind: 1 for its state, 0 for the others",
        labels=["kind", "state"],
    )
    for run in overview.last_runs():
        for state in Run.State.values:
            states.add_metric([run.kind, state], float(run.state == state))
    return states
