"""Limit requests per minute, counted in Redis for all web workers together (decision 8).

A minute begins with the first request that is counted in it. If Redis is down, requests are neither counted nor
refused: reads then go on from PostgreSQL, and a limit is no reason to stop them.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network

from django_redis import get_redis_connection
from rest_framework.exceptions import Throttled

from featurehub.lib.redis_away import REDIS_AWAY

MINUTE_MS = 60_000
# Failed authentications from one address: more than mistakes cause, far fewer than guessing a key takes.
FAILURES_PER_MINUTE = 30
# One command. Returns the number of requests in this minute, this one included, and the milliseconds left of it.
COUNT_SCRIPT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""
# Not after the minute is over: a new counter has to begin with its TTL.
TAKE_BACK_SCRIPT = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECR', KEYS[1]) end"
# Hash of the refused requests by reason, without a TTL: the counts only grow until Redis is emptied.
REJECTIONS = "rejected_requests"
KEY_LIMIT, GUESSES = REJECTION_REASONS = ("key_limit", "guesses")


def count_request(key_id: int, *, per_minute: int) -> None:
    """Count a request of an API key. Raise Throttled if there are more than `per_minute`."""
    number, seconds = count(f"key:{key_id}")
    if number > per_minute:
        count_rejection(KEY_LIMIT)
        raise Throttled(wait=seconds, detail=f"This API key is limited to {per_minute} requests per minute.")


def take_back_request(key_id: int) -> None:
    """Count a request of an API key less, because another pool counts it again; do nothing if Redis is down."""
    with suppress(*REDIS_AWAY):
        get_redis_connection("default").register_script(TAKE_BACK_SCRIPT)(keys=[f"rate_limits:key:{key_id}"])


def count_failure(address: str) -> None:
    """Count a failed authentication. Raise Throttled beyond FAILURES_PER_MINUTE of one address."""
    number, seconds = count(f"failures:{source_of(address)}")
    if number > FAILURES_PER_MINUTE:
        count_rejection(GUESSES)
        raise Throttled(wait=seconds, detail="Too many requests with unknown API keys came from this address.")


def count(what: str) -> tuple[int, int]:
    """Count one more request and return (number in this minute, seconds left of it).

    Return (0, 0) if Redis is down.
    """
    script = get_redis_connection("default").register_script(COUNT_SCRIPT)
    try:
        number, left_ms = script(keys=[f"rate_limits:{what}"], args=[MINUTE_MS])
    except REDIS_AWAY:
        return 0, 0
    return number, max(math.ceil(left_ms / 1000), 1)


def count_rejection(reason: str) -> None:
    """Count a refused request for the metrics; do nothing if Redis is down.

    This takes a further Redis command, which only refused requests pay for.
    """
    with suppress(*REDIS_AWAY):
        get_redis_connection("default").hincrby(REJECTIONS, reason, 1)


def rejections() -> Mapping[str, int]:
    """Return the number of requests refused by all web workers together, by reason.

    Raise one of REDIS_AWAY if Redis is down.
    """
    counts = get_redis_connection("default").hmget(REJECTIONS, REJECTION_REASONS)
    return {reason: int(number or 0) for reason, number in zip(REJECTION_REASONS, counts, strict=True)}


def source_of(address: str) -> str:
    """Return the source that failures are counted for.

    That is the IPv4 address, or the /64 network of an IPv6 address, which one machine usually has to itself.
    """
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket has no address
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
