"""How often somebody may ask in a minute, counted in Redis for all web workers together (decision 8).

A minute begins with the first request that is counted in it. Where Redis is away nothing is counted, and nobody is
refused: reads go on from PostgreSQL then, and a limit is no reason to stop them.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network

from django_redis import get_redis_connection
from rest_framework.exceptions import Throttled

from featurehub.lib.redis_away import REDIS_AWAY

MINUTE_MS = 60_000
# Failures to authenticate from one address: more than a person's slips, far less than what trying keys would take.
FAILURES_PER_MINUTE = 30
# One command. Answers how many there were in this minute, this one included, and for how long it still lasts (ms).
COUNT_SCRIPT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""
# How many were refused in all, by reason: a hash that stays, so that it only ever grows (until Redis is emptied).
REJECTIONS = "rejected_requests"
KEY_LIMIT, GUESSES = REJECTION_REASONS = ("key_limit", "guesses")


def count_request(key_id: int, *, per_minute: int) -> None:
    """Counts a request of an API key. Raises Throttled beyond `per_minute`."""
    number, seconds = count(f"key:{key_id}")
    if number > per_minute:
        count_rejection(KEY_LIMIT)
        raise Throttled(wait=seconds, detail=f"This API key may make {per_minute} requests a minute.")


def count_failure(address: str) -> None:
    """Counts a failure to authenticate. Raises Throttled beyond FAILURES_PER_MINUTE of the address."""
    number, seconds = count(f"failures:{source_of(address)}")
    if number > FAILURES_PER_MINUTE:
        count_rejection(GUESSES)
        raise Throttled(wait=seconds, detail="Too many requests with unknown API keys came from this address.")


def count(what: str) -> tuple[int, int]:
    """Counts one more. Returns how many there are in the minute, 0 where Redis is away, and its seconds left."""
    script = get_redis_connection("default").register_script(COUNT_SCRIPT)
    try:
        number, left_ms = script(keys=[f"rate_limits:{what}"], args=[MINUTE_MS])
    except REDIS_AWAY:
        return 0, 0
    return number, max(math.ceil(left_ms / 1000), 1)


def count_rejection(reason: str) -> None:
    """For the metrics: a command of its own, which only the refused pay for. Where Redis went away just now, none."""
    with suppress(*REDIS_AWAY):
        get_redis_connection("default").hincrby(REJECTIONS, reason, 1)


def rejections() -> Mapping[str, int]:
    """How many requests were refused by all web workers together, by reason. Raises one of AWAY."""
    counts = get_redis_connection("default").hmget(REJECTIONS, REJECTION_REASONS)
    return {reason: int(number or 0) for reason, number in zip(REJECTION_REASONS, counts, strict=True)}


def source_of(address: str) -> str:
    """What failures are counted for: an IPv4 address, of IPv6 the /64 that one machine has to itself."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket has none
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
