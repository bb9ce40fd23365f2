"""The online store: the only code that knows Redis. A cache: all of it can be lost and rebuilt from PostgreSQL.

`customer_features:{customer_id}` is a hash with a field a feature. Beside them, for each feature type, `_TYPE` holds
the stamp (how new the values are) and `_TYPE:metadata` their metadata as JSON. A stamp that is present but empty says
that PostgreSQL has no values of this type; a stamp that is absent says nothing, and the reader asks PostgreSQL.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import orjson
from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from features.formulas import EPOCH, microseconds

T = TypeVar("T")
PREFIX = "customer_features:"
AWAY = (RedisConnectionError, RedisTimeoutError)
CUSTOMERS_PER_SCRIPT = 500
# An unheard-of customer is remembered as such, but not for long: ids that nobody has would fill the memory.
ABSENT_SECONDS = 60

# Compare and set: a type's fields are written only over an older stamp. Stamps have a fixed width, so that
# comparing them as text compares (as_of, history row). The TTL is renewed either way.
PUBLISH = """
local published = 0
for i, key in ipairs(KEYS) do
  local held_any = false
  for _, part in ipairs(cjson.decode(ARGV[i + 2])) do
    local held = redis.call('HGET', key, part[1])
    if not held or held < part[2] then
      redis.call('HSET', key, part[1], part[2], unpack(part[3]))
      published = published + 1
    end
    held = redis.call('HGET', key, part[1])
    if held ~= '' then held_any = true end
  end
  redis.call('EXPIRE', key, held_any and ARGV[1] or math.min(ARGV[1], ARGV[2]))
end
return published
"""

# One round trip and one command for a batch: the server does the look-ups.
READ = """
local rows = {}
for i, key in ipairs(KEYS) do rows[i] = redis.call('HMGET', key, unpack(ARGV)) end
return rows
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The newest values of one customer and feature type; `sequence` is the id of their history row.

    `version` and `as_of` are None where PostgreSQL has no values of the type.
    """

    feature_type: str
    version: str | None
    as_of: datetime | None
    sequence: int
    features: Mapping[str, float]
    metadata: Mapping[str, Any]


def key_of(customer_id: str, suffix: str = "") -> str:
    return f"{PREFIX}{customer_id}{suffix}"


def stamp(published: Published) -> str:
    """`as_of sequence version`, ordered as text the way the values are ordered in time; empty where there are none."""
    if published.as_of is None:
        return ""
    return f"{microseconds(published.as_of):017d} {published.sequence:019d} {published.version}"


def parse_stamp(text: bytes) -> tuple[datetime, str]:
    """(as_of, version) of a stamp that is not empty."""
    moment, _, version = text.decode().split(" ")
    return EPOCH + timedelta(microseconds=int(moment)), version


def publish(values: Mapping[str, Sequence[Published]]) -> int:
    """Publishes customer_id → values by type. Returns how many were newer than what Redis held.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    script = get_redis_connection("default").register_script(PUBLISH)
    published = 0
    for chunk in batched(values.items(), CUSTOMERS_PER_SCRIPT):
        keys = [key_of(customer_id) for customer_id, _ in chunk]
        parts = [orjson.dumps([encode(part) for part in by_type]) for _, by_type in chunk]
        published += int(script(keys=keys, args=[settings.FEATURE_TTL, ABSENT_SECONDS, *parts]))
    return published


def encode(part: Published) -> tuple[str, str, list[str]]:
    """What PUBLISH takes: the stamp's field, the stamp, and field, value, field, value, …"""
    field = f"_{part.feature_type}"
    pairs = [f"{field}:metadata", orjson.dumps(part.metadata).decode()]
    for name, value in part.features.items():
        pairs += (name, repr(float(value)))
    return field, stamp(part), pairs


def read(customer_ids: Sequence[str], fields: Sequence[str]) -> list[list[bytes | None]]:
    """The fields of each customer in the order asked: one command, however many customers."""
    client = get_redis_connection("default")
    if len(customer_ids) == 1:
        return [client.hmget(key_of(customer_ids[0]), fields)]
    rows: list[list[bytes | None]] = client.register_script(READ)(
        keys=[key_of(customer_id) for customer_id in customer_ids], args=fields
    )
    return rows


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
