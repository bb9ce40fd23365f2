"""The least a Python server can do for a read: take the id out of the path, HMGET, write JSON."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from redis import Redis

FIVE = ("engagement_score", "page_views_30d", "purchases_30d", "conversion_rate", "recency_score")
client = Redis.from_url(os.environ["REDIS_URL"])


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    values: Any = client.hmget("customer_features:" + environ["PATH_INFO"].split("/")[4], FIVE)
    body = orjson.dumps({name: float(value) for name, value in zip(FIVE, values, strict=True) if value})
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
