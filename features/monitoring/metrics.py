"""Prometheus metrics of the feature store, read from PostgreSQL at each scrape.

`overview` keeps the reads cheap.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate

from django.db import Error
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from featurehub.lib.traffic import AGE_AT_READ, AGE_BOUNDS, READS, REQUEST_BOUNDS, REQUESTS
from features.models import Run
from features.monitoring import consistency, overview
from features.monitoring.event_counts import EVENTS
from features.monitoring.series import counted_ever
from features.online import outbox

logger = logging.getLogger(__name__)


class FeatureStoreCollector(Collector):
    """The state of the store and what was counted; `database_up` alone where PostgreSQL does not answer."""

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering the collector reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        families = read_families()
        yield gauge("database_up", "1 if PostgreSQL accepts connections, else 0", float(bool(families)))
        yield from families


def read_families() -> list[Metric]:
    """Return the metrics that are read from PostgreSQL; none where it does not answer."""
    now = timezone.now()
    try:
        return [
            *backlog_gauges(now), *customer_gauges(now), *consistency_gauges(now), last_run_gauge(), *traffic_families()
        ]  # fmt: skip
    except Error as error:
        logger.warning("PostgreSQL does not answer, its metrics are left out: %s", error)
        return []


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"featurehub_{name}", text, value=value)


def backlog_gauges(now: datetime) -> list[GaugeMetricFamily]:
    waiting = overview.backlog(now=now)
    return [
        gauge(
            "due_marks", "Due marks of customers that wait to be computed (estimated above 10,000)", waiting.due.number
        ),
        gauge("oldest_due_mark_age_seconds", "Age of the oldest due mark, 0 if none is due", waiting.oldest_seconds),
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
        gauge("customers_active", "Customers with events in the window (estimated above 10,000)", fresh.active.number),
        gauge("customers_behind", "Active customers that were not renewed within a TTL", fresh.behind.number),
        gauge("versions_put_aside", "Versions whose computation failed", float(overview.versions_put_aside().count())),
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
        "State of the newest run of each kind: 1 for its state, 0 for the others",
        labels=["kind", "state"],
    )
    for run in overview.last_runs():
        for state in Run.State.values:
            states.add_metric([run.kind, state], float(run.state == state))
    return states


def traffic_families() -> list[Metric]:
    """Return what the web processes and the count of events have counted ever: the sources of the Overview's charts."""
    return [
        histogram("request_seconds", "Time of requests to the API", REQUESTS, bounds=REQUEST_BOUNDS,
                  labels=("method", "endpoint", "status")),
        histogram("age_at_read_seconds", "Age of the values of a sample of the reads", AGE_AT_READ, bounds=AGE_BOUNDS),
        counter("reads", "Customers read by the API, by where the values came from", READS, labels=("source",)),
        counter("events", "Accepted events", EVENTS, labels=("type",)),
    ]  # fmt: skip


def counter(name: str, text: str, series: str, *, labels: Sequence[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"featurehub_{name}", text, labels=labels)
    for values, point in counted_ever(series).items():
        family.add_metric(values, float(point.count))
    return family


def histogram(
    name: str, text: str, series: str, *, bounds: Sequence[float], labels: Sequence[str] = ()
) -> HistogramMetricFamily:
    """Return a histogram in Prometheus' form: each bucket also holds those below it."""
    family = HistogramMetricFamily(f"featurehub_{name}", text, labels=labels)
    for values, point in counted_ever(series).items():
        upto = zip([*map(str, bounds), "+Inf"], accumulate(point.buckets), strict=True)
        family.add_metric(values, buckets=[(bound, float(number)) for bound, number in upto], sum_value=point.total)
    return family
