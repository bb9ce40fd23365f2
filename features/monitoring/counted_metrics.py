"""Prometheus metrics of what all processes have counted ever: web processes, workers and beat (`flush`).

The counters never go down, whichever process is scraped and however many are started anew.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from featurehub.lib.traffic import (
    AGE_AT_READ,
    AGE_BOUNDS,
    DELAY_BOUNDS,
    FALLBACKS,
    HANDOVERS,
    PAGE_BOUNDS,
    PAGE_TIMES,
    POSTED,
    PUBLICATION_DELAY,
    READS,
    REQUEST_BOUNDS,
    REQUESTS,
    SENT_BY_BEAT,
    TASK_BOUNDS,
    TASK_TIMES,
)
from features.models import SeriesPoint
from features.monitoring.event_counts import EVENTS
from features.monitoring.series import counted_ever

# Labels → what was counted under them.
ByLabels: TypeAlias = Mapping[tuple[str, ...], SeriesPoint]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedMetric:
    """A metric that is made of a series: a histogram where it has bounds, else a counter.

    `known` are the values of its last label that are shown as 0 before the first is counted, so that the first increase
    is seen as one.
    """

    series: str
    name: str
    text: str
    labels: Sequence[str] = ()
    bounds: Sequence[float] = ()
    known: Sequence[str] = ()


def counter(name: str, text: str, series: str, *, labels: Sequence[str], known: Sequence[str] = ()) -> CountedMetric:
    return CountedMetric(name=name, text=text, series=series, labels=labels, known=known)


def histogram(
    name: str, text: str, series: str, *, bounds: Sequence[float], labels: Sequence[str] = (), known: Sequence[str] = ()
) -> CountedMetric:
    return CountedMetric(name=name, text=text, series=series, bounds=bounds, labels=labels, known=known)


COUNTED_METRICS = (
    histogram(
        "request_seconds", "Time of requests to the API", REQUESTS,
        bounds=REQUEST_BOUNDS, labels=("method", "endpoint", "status"),
    ),
    histogram(
        "page_seconds", "Time of pages of the admin, and of others outside of the API", PAGE_TIMES,
        bounds=PAGE_BOUNDS, labels=("method", "page", "status"),
    ),
    counter("handovers", "Requests that the pool reads left to the pool api", HANDOVERS, labels=("endpoint",)),
    counter(
        "reads", "Customers read by the API, by where the values came from", READS,
        labels=("source",), known=("cache", "database"),
    ),
    counter(
        "fallbacks",
        "Customers read from PostgreSQL because Redis was away, or might have held older values than were shown",
        FALLBACKS, labels=("reason",), known=("away", "incomplete"),
    ),
    histogram("age_at_read_seconds", "Age of the values of a sample of the reads", AGE_AT_READ, bounds=AGE_BOUNDS),
    counter(
        "posted_events", "Events of requests to the API that were answered", POSTED,
        labels=("outcome",), known=("accepted", "duplicate", "refused"),
    ),
    counter("events", "Accepted events", EVENTS, labels=("type",)),
    histogram(
        "publication_delay_seconds", "Time from the moment at which an event counts until its customer is published",
        PUBLICATION_DELAY, bounds=DELAY_BOUNDS,
    ),
    histogram(
        "task_seconds", "Time of tasks in workers", TASK_TIMES,
        bounds=TASK_BOUNDS, labels=("task", "outcome"), known=("success", "failure"),
    ),
    counter("tasks_sent_by_beat", "Tasks that beat has sent", SENT_BY_BEAT, labels=("task",)),
)  # fmt: skip


def counted_families() -> Iterator[Metric]:
    """Yield the metrics. One query."""
    counted = counted_ever(*(metric.series for metric in COUNTED_METRICS))
    for metric in COUNTED_METRICS:
        make: Callable[[CountedMetric, ByLabels], Metric] = histogram_family if metric.bounds else counter_family
        yield make(metric, with_known(metric, counted[metric.series]))


def with_known(metric: CountedMetric, points: ByLabels) -> ByLabels:
    """Return the points, and one of nothing for each known label that has none."""
    others = {values[:-1] for values in points} if len(metric.labels) > 1 else {()}
    wanted = [(*labels, known) for labels in others for known in metric.known]
    nothing = [0] * (len(metric.bounds) + 1) if metric.bounds else []
    return {values: SeriesPoint(buckets=nothing) for values in wanted} | {**points}


def counter_family(metric: CountedMetric, points: ByLabels) -> CounterMetricFamily:
    family = CounterMetricFamily(f"featurehub_{metric.name}", metric.text, labels=metric.labels)
    for values, point in points.items():
        family.add_metric(values, float(point.count))
    return family


def histogram_family(metric: CountedMetric, points: ByLabels) -> HistogramMetricFamily:
    """Return a histogram in Prometheus' form: each bucket also holds those below it."""
    family = HistogramMetricFamily(f"featurehub_{metric.name}", metric.text, labels=metric.labels)
    for values, point in points.items():
        family.add_metric(values, buckets=list(upto(metric.bounds, point.buckets)), sum_value=point.total)
    return family


def upto(bounds: Sequence[float], buckets: Iterable[int]) -> Iterator[tuple[str, float]]:
    """Yield the upper bound of each bucket, and how many values are not above it."""
    for bound, number in zip([*map(str, bounds), "+Inf"], accumulate(buckets), strict=True):
        yield bound, float(number)
