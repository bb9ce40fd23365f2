"""Prometheus metrics of the rate limits.

All web workers report the same numbers, because the counts are in Redis.
"""

import logging
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from featurehub.access.limits import rejections
from featurehub.lib.redis_away import REDIS_AWAY

logger = logging.getLogger(__name__)


class LimitsCollector(Collector):
    """A counter of the requests that were answered with 429, by reason; absent while Redis is unavailable."""

    def describe(self) -> Iterable[CounterMetricFamily]:
        """Return nothing, so that registering the collector reads nothing."""
        return []

    def collect(self) -> Iterator[CounterMetricFamily]:
        text = "Requests answered with 429: over the limit of their API key, or too many wrong keys from one address"
        family = CounterMetricFamily("featurehub_rejected_requests", text, labels=["reason"])
        try:
            for reason, number in rejections().items():
                family.add_metric([reason], number)
        except REDIS_AWAY as error:
            logger.warning("Redis can't be reached; its metrics are left out: %s", error)
            return
        yield family
