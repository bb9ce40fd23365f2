"""What Prometheus is told of the feature store, read from PostgreSQL at each scrape: cheap, see overview."""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import Error, connection
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping
from psycopg_pool import PoolTimeout

from features.models import Run
from features.monitoring import overview
from features.online import outbox

logger = logging.getLogger(__name__)
PING_SECONDS = 2


class FeatureStoreCollector(Collector):
    """Gauges of the backlog, the customers and the runs; with PostgreSQL away only that it is."""

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing is read when this is registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauges = read_gauges()
        yield gauge("database_up", "1 where PostgreSQL answers", float(bool(gauges)))
        yield from gauges


def read_gauges() -> list[GaugeMetricFamily]:
    """None of them where PostgreSQL does not answer."""
    now = timezone.now()
    try:
        return [*backlog_gauges(now), *customer_gauges(now), last_run_gauge()] if answers() else []
    except (Error, PoolTimeout) as error:
        logger.warning("PostgreSQL does not answer, its metrics are left out: %s", error)
        return []


def answers() -> bool:
    """Whether PostgreSQL takes connections. A query would wait for it as long as a request does: a scrape does not."""
    known = connection.settings_dict
    conninfo = make_conninfo(host=known["HOST"], port=known["PORT"] or None, connect_timeout=PING_SECONDS)
    return PGconn.ping(conninfo.encode()) == Ping.OK


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"featurehub_{name}", text, value=value)


def backlog_gauges(now: datetime) -> list[GaugeMetricFamily]:
    waiting = overview.backlog(now=now)
    return [
        gauge(
            "due_marks", "Marks of customers that wait for a computation (beyond 10,000 estimated)", waiting.due.number
        ),
        gauge("oldest_due_mark_age_seconds", "How long the oldest of them has been due", waiting.oldest_seconds),
        gauge("overdue_publications", "Changes that were committed and not published since", outbox.overdue().count()),
    ]


def customer_gauges(now: datetime) -> list[GaugeMetricFamily]:
    fresh = overview.freshness(now=now)
    return [
        gauge("customers", "Customers (beyond 10,000 estimated)", overview.customers().number),
        gauge("customers_active", "Customers with events in the window (beyond 10,000 estimated)", fresh.active.number),
        gauge("customers_behind", "Active customers last renewed more than a TTL ago", fresh.behind.number),
    ]


def last_run_gauge() -> GaugeMetricFamily:
    """1 for the state that the newest run of each kind is in, 0 for the others."""
    states = GaugeMetricFamily("featurehub_last_run", "The state of the newest run of a kind", labels=["kind", "state"])
    for run in overview.last_runs():
        for state in Run.State.values:
            states.add_metric([run.kind, state], float(run.state == state))
    return states
