"""The floor of a read: a bare WSGI function that takes the id out of the path, sends HMGET and writes JSON."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from redis import Redis

FIVE = ("engagement_score", "page_views_30d", "purchases_30d", "conversion_rate", "recency_score")
client = Redis.from_url(os.environ["REDIS_URL"])


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request for five values of the customer in the path."""
    values: Any = client.hmget("customer_features:" + environ["PATH_INFO"].split("/")[4], FIVE)
    body = orjson.dumps({name: float(value) for name, value in zip(FIVE, values, strict=True) if value})
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
