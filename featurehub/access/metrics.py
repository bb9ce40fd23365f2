"""Metrics of refused requests, for Prometheus.

The counts are in Redis, so that every web worker reports the same.
"""

import logging
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from featurehub.access.limits import rejections
from featurehub.lib.redis_away import REDIS_AWAY

logger = logging.getLogger(__name__)


class LimitsCollector(Collector):
    """Collect the number of requests answered with 429, by reason; nothing while Redis is down."""

    def describe(self) -> Iterable[CounterMetricFamily]:
        """Return nothing, so that registering the collector does not read Redis."""
        return []

    def collect(self) -> Iterator[CounterMetricFamily]:
        text = "Requests answered with 429: over the limit of their API key, or with unknown keys from one address"
        family = CounterMetricFamily("featurehub_rejected_requests", text, labels=["reason"])
        try:
            for reason, number in rejections().items():
                family.add_metric([reason], number)
        except REDIS_AWAY as error:
            logger.warning("Redis can't be reached; its metrics are left out: %s", error)
            return
        yield family
