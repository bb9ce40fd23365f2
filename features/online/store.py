"""The online store: the only code that knows Redis. A cache: all of it can be lost and rebuilt from PostgreSQL.

`customer_features:{customer_id}` is a hash with a field a feature of the live versions; each other version that can be
read has a hash of its own, `customer_features:{customer_id}:{type}:{version}`. Beside the features, for each feature
type, `_TYPE` holds the stamp (how new the values are), `_TYPE:metadata` their metadata as JSON and, of computed values,
`_TYPE:base` what time moves them from. A stamp that is present but empty says that PostgreSQL has no values of this
type; a stamp that is absent says nothing, and the reader asks PostgreSQL.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec
import orjson
from django.conf import settings
from django_redis import get_redis_connection

from featurehub.lib.batched import batched
from featurehub.lib.clock import EPOCH
from features.online.hmget import Row, hmget_each
from features.online.layout import suffix_of
from features.registry.snapshot import registry_snapshot

T = TypeVar("T")
PREFIX = "customer_features:"
CUSTOMERS_PER_SCRIPT = 250
# An unheard-of customer is remembered as such, but not for long: ids that nobody has would fill the memory.
ABSENT_SECONDS = 60

# Compare and set: a type's fields are written only over an older stamp. Of two stamps of one version the newer is that
# of the later history row, and of one row that of the later moment; of two versions that of the later moment. They
# have a fixed width, so text is compared. The names that another version had go with it. The TTL is renewed either way.
PUBLISH = """
local function is_newer(held, new)
  if string.sub(held, 39) == string.sub(new, 39) then
    local row_held, row_new = string.sub(held, 19), string.sub(new, 19)
    if row_held ~= row_new then return row_held < row_new end
    return held < new
  end
  return string.sub(held, 1, 17) <= string.sub(new, 1, 17)
end
local published = 0
for i, key in ipairs(KEYS) do
  local parts, fields, new, holds_any = cmsgpack.unpack(ARGV[i + 2]), {}, {}, false
  for n, part in ipairs(parts) do fields[n] = part[1] end
  local held = redis.call('HMGET', key, unpack(fields))
  for n, part in ipairs(parts) do
    if not held[n] or is_newer(held[n], part[2]) then
      if #part[4] > 0 and held[n] and string.sub(held[n], 39) ~= string.sub(part[2], 39) then
        redis.call('HDEL', key, unpack(part[4]))
      end
      held[n] = part[2]
      published = published + 1
      new[#new + 1] = part[1]
      new[#new + 1] = part[2]
      for _, text in ipairs(part[3]) do new[#new + 1] = text end
    end
    if held[n] ~= '' then holds_any = true end
  end
  for first = 1, #new, 4000 do redis.call('HSET', key, unpack(new, first, math.min(first + 3999, #new))) end
  redis.call('EXPIRE', key, holds_any and ARGV[1] or math.min(ARGV[1], ARGV[2]))
end
return published
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The newest values of one customer and feature type; `sequence` is the id of their history row.

    They hold at `as_of_us` (microseconds since 1970 UTC); it and `version` are None where PostgreSQL has no values of
    the type. `left_out` are names that only other versions have: they go where those of another version are held.
    """

    feature_type: str
    version: str | None
    as_of_us: int | None
    sequence: int
    features: Mapping[str, float]
    metadata: Mapping[str, Any]
    left_out: Sequence[str] = ()
    base: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """`keys` counts every key of this Redis database, a few that are not customers among them."""

    keys: int
    bytes_used: int


class Hash(NamedTuple):
    """A customer's hash: that of the live versions, or with a suffix (`:behavioral:2.0`) that of another one."""

    customer_id: str
    suffix: str = ""


# An id that could be taken for the hash of another customer's version is never held here: PostgreSQL answers for it.
LIKE_A_VERSION = re.compile(r":(?:customer|behavioral|contextual|derived):\d+(?:\.\d+)*$")


def is_ambiguous(customer_id: str) -> bool:
    return ":" in customer_id and LIKE_A_VERSION.search(customer_id) is not None


def key_of(customer_id: str, suffix: str = "") -> str:
    return f"{PREFIX}{customer_id}{suffix}"


def stamp(published: Published) -> str:
    """`as_of sequence version`, ordered as text the way the values are ordered in time; empty where there are none."""
    if published.as_of_us is None or published.version is None:
        return ""
    return moment_text(published.as_of_us) + row_text(published.sequence, published.version)


def stamp_field(feature_type: str) -> str:
    return f"_{feature_type}"


def metadata_field(feature_type: str) -> str:
    return f"_{feature_type}:metadata"


def base_field(feature_type: str) -> str:
    return f"_{feature_type}:base"


def base_text(base: Sequence[float | None]) -> str:
    return orjson.dumps(base).decode()[1:-1]


# A stamp's parts: its moment, text that is ordered as time is, the row, and what it ends in: `stamp_ending`.
ROW_BEGINS = 17
MOMENT, ROW, ENDING = slice(ROW_BEGINS), slice(ROW_BEGINS, 37), slice(37, None)


def moment_text(as_of_us: int) -> str:
    return f"{as_of_us:017d}"


def row_text(sequence: int, version: str) -> str:
    """What a stamp ends in from ROW_BEGINS on."""
    return f" {sequence:019d} {version}"


def row_of(text: bytes | None) -> int:
    """The row of a stamp; 0 where there is none, or an empty one."""
    return int(text[ROW]) if text else 0


def stamp_ending(version: str) -> bytes:
    """What the stamps of a version end in, and no other's."""
    return f" {version}".encode()


def oldest_moment(stamps: Sequence[bytes | None]) -> datetime | None:
    """The as_of of the oldest stamp; None where there is none, or only empty ones. Text is ordered as time is."""
    oldest = min(filter(None, stamps), default=None)
    return None if oldest is None else moment_of(oldest[MOMENT])


@lru_cache(maxsize=1_024)
def moment_of(text: bytes) -> datetime:
    """`moment_text` back. The customers of one chunk were computed at one moment, so the last ones are kept."""
    return EPOCH + timedelta(microseconds=int(text))


def write_hashes(values: Mapping[Hash, Sequence[Published]]) -> int:
    """Publishes each hash's values by type, in the order given. Returns how many were newer than what Redis held.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    script = get_redis_connection("default").register_script(PUBLISH)
    published = 0
    held = ((place, by_type) for place, by_type in values.items() if not is_ambiguous(place.customer_id))
    for chunk in batched(held, CUSTOMERS_PER_SCRIPT):
        keys = [key_of(*place) for place, _ in chunk]
        parts = [msgspec.msgpack.encode([encode_part(part) for part in by_type]) for _, by_type in chunk]
        published += int(script(keys=keys, args=[settings.FEATURE_TTL, ABSENT_SECONDS, *parts]))
    return published


def pairs(features: Mapping[str, float]) -> list[str]:
    """field, value, field, value, …: decimal strings that round-trip the doubles."""
    return [text for name, value in features.items() for text in (name, repr(float(value)))]


def encode_part(part: Published) -> tuple[str, str, list[str], Sequence[str]]:
    """What PUBLISH takes: the stamp's field, the stamp, field, value, field, value, … and the names left out."""
    field = stamp_field(part.feature_type)
    texts = [metadata_field(part.feature_type), orjson.dumps(part.metadata).decode(), *pairs(part.features)]
    if part.base:
        texts += base_field(part.feature_type), base_text(part.base)
    return field, stamp(part), texts, part.left_out


def read_hashes(customer_ids: Sequence[str], fields: Sequence[str], *, suffix: str = "") -> Sequence[Row]:
    """The fields of each customer's hash in the order asked: one round trip, however many customers."""
    rows: Sequence[Row] = hmget_each([f"{PREFIX}{customer_id}{suffix}" for customer_id in customer_ids], tuple(fields))
    if any(map(is_ambiguous, customer_ids)):
        pairs = zip(customer_ids, rows, strict=True)
        return [[None] * len(fields) if is_ambiguous(customer_id) else row for customer_id, row in pairs]
    return rows


def as_row(published: Sequence[Published], fields: Sequence[str]) -> Row:
    """What `read` would give of values that were just published."""
    held: dict[str, str] = {}
    for part in published:
        field, text, texts, _ = encode_part(part)
        held |= {field: text, **dict(zip(texts[::2], texts[1::2], strict=True))}
    return [held[field].encode() if field in held else None for field in fields]


def delete_hashes(customer_ids: Iterable[str]) -> int:
    """Deletes what is held of the customers, of every version that there was. Returns how many keys there were."""
    suffixes = ("", *(suffix_of(*key) for key in registry_snapshot.get().started))
    keys = [key_of(customer_id, suffix) for customer_id in customer_ids for suffix in suffixes]
    return int(get_redis_connection("default").delete(*keys)) if keys else 0


def seconds_left(customer_id: str) -> float | None:
    """How long the customer's hash is kept unless it is renewed; None where there is none."""
    milliseconds: int = get_redis_connection("default").pttl(key_of(customer_id))
    return milliseconds / 1000 if milliseconds >= 0 else None


def occupancy() -> Occupancy:
    """How full Redis is. Raises redis' ConnectionError or TimeoutError where it is away."""
    client = get_redis_connection("default")
    return Occupancy(keys=client.dbsize(), bytes_used=int(client.info("memory")["used_memory"]))
