"""Prometheus metrics of the feature store, read from PostgreSQL at each scrape.

`overview` keeps the reads cheap.
"""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.conf import settings
from django.db import Error
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from events.registered_types import event_types
from features.models import Run
from features.monitoring import consistency, overview
from features.monitoring.counted_metrics import counted_families
from features.monitoring.drift import BASELINE, LAST_WEEK, FeatureDrift
from features.monitoring.value_alerts import value_watch
from features.online import outbox

logger = logging.getLogger(__name__)
WEEK_LABELS = {BASELINE: "baseline", LAST_WEEK: "last"}


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
            *backlog_gauges(now),
            *customer_gauges(now),
            *consistency_gauges(now),
            *value_gauges(now),
            last_run_gauge(),
            *counted_families(),
        ]
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
            "oldest_renewal_age_seconds",
            "Age in seconds of the oldest renewal that an active customer depends on; beyond the TTL Redis drops it",
            0.0 if fresh.oldest is None else (now - fresh.oldest).total_seconds(),
        ),
        gauge("feature_ttl_seconds", "FEATUREHUB_FEATURE_TTL in seconds", float(settings.FEATURE_TTL)),
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


def value_gauges(now: datetime) -> list[GaugeMetricFamily]:
    """Return the gauges of the newest profiled day and of the events' volumes; those of values none before the first.

    They are at most a minute old.
    """
    watch = value_watch.get()
    alerts = watch.alerts(now=now)
    unusual = GaugeMetricFamily(
        "featurehub_event_type_unusual",
        "1 if an event type is silent or its volume has jumped, else 0",
        labels=["event_type"],
    )
    for event_type in event_types.get().names:
        unusual.add_metric([event_type], float(any(alert.event_type == event_type for alert in alerts)))
    if watch.newest is None:
        return [unusual]
    shifted = gauge(
        "values_shifted", "Features whose values have shifted on the newest profiled day",
        float(sum(bool(drift.shifted) for drift in watch.drifts)),
    )  # fmt: skip
    age = gauge(
        "value_profile_age_seconds", "Time since the end of the newest profiled day", watch.seconds_old(now=now)
    )
    return [unusual, shifted, age, *drift_gauges(watch.drifts)]


def drift_gauges(drifts: Iterable[FeatureDrift]) -> list[GaugeMetricFamily]:
    """Return for each feature its missing share, and its stability index and largest distance from each week."""
    missing = GaugeMetricFamily(
        "featurehub_value_missing_share", "Share of the sampled customers without a value", labels=["feature"]
    )
    index = GaugeMetricFamily(
        "featurehub_value_stability_index",
        "Population stability index of the newest profiled day against a week",
        labels=["feature", "week"],
    )
    distance = GaugeMetricFamily(
        "featurehub_value_largest_distance",
        "Kolmogorov and Smirnov's distance of the newest profiled day from a week, 0 to 1",
        labels=["feature", "week"],
    )
    for each in drifts:
        missing.add_metric([each.profile.name], each.distribution.missing_share)
        for drift in each.drifts:
            labels = [each.profile.name, WEEK_LABELS[drift.week]]
            index.add_metric(labels, drift.stability_index)
            if drift.largest_distance is not None:
                distance.add_metric(labels, drift.largest_distance)
    return [missing, index, distance]


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
