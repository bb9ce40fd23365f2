"""Giving hashes of the online store a later moment: their stamps, the values that time has moved, and the TTL.

Beside `store` the only code that writes Redis. The caller has read the hashes; the script compares and sets, so what
somebody else has published since then stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.conf import settings
from django_redis import get_redis_connection

from features.store import CUSTOMERS_PER_SCRIPT, key_of, moment_text

# ARGV: the TTL, the moment, and in one document the stamps' fields, the moved fields, and for each of these a column:
# the stamps that the caller has read, and the new values. Of a value '' says that time has not moved it and false that
# there is none any more. Answers which keys hold something else than the caller has read. (EXPIRE would be translated
# into PEXPIREAT for each key.)
RESTAMP = """
local call, sub, time, moment = redis.call, string.sub, redis.call('TIME'), ARGV[2]
local ends_at = string.format('%.0f', (time[1] + ARGV[1]) * 1000 + math.floor(time[2] / 1000))
local stamps, names, read, moved = unpack(cmsgpack.unpack(ARGV[3]))
local width, new, others = #stamps, {}, {}
for n, field in ipairs(stamps) do new[2 * n - 1] = field end
for i, key in ipairs(KEYS) do
  local held, same = width > 0 and call('HMGET', key, unpack(stamps)), true
  for n = 1, width do
    local stamp = held[n]
    if stamp ~= read[n][i] then
      same = false
      others[#others + 1] = i
      break
    end
    new[2 * n] = stamp == '' and '' or moment .. sub(stamp, 18)
  end
  if same then
    local last = 2 * width
    for n, field in ipairs(names) do
      local text = moved[n][i]
      if not text then
        call('HDEL', key, field)
      elseif text ~= '' then
        new[last + 1], new[last + 2] = field, text
        last = last + 2
      end
    end
    if last > 0 then call('HSET', key, unpack(new, 1, last)) end
    call('PEXPIREAT', key, ends_at)
  end
end
return others
"""
UNMOVED = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashes:
    """One hash of each of n customers: columns of its `stamps` as they were read, and of its `moved` values as text.

    A value is UNMOVED where time has not moved it, False where there is none any more.
    """

    suffix: str
    customer_ids: Sequence[str]
    stamps: Mapping[str, Sequence[bytes | None]]
    moved: Mapping[str, Sequence[str | bool]]


def restamp(hashes: Hashes, *, as_of: datetime) -> list[str]:
    """Gives the hashes the moment `as_of`, their moved values and a TTL. Returns the customers whose hash is no longer
    as it was read.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    script = get_redis_connection("default").register_script(RESTAMP)
    head = (settings.FEATURE_TTL, moment_text(as_of))
    others: list[str] = []
    for first in range(0, len(hashes.customer_ids), CUSTOMERS_PER_SCRIPT):
        part = slice(first, first + CUSTOMERS_PER_SCRIPT)
        customer_ids = hashes.customer_ids[part]
        keys = [key_of(customer_id, hashes.suffix) for customer_id in customer_ids]
        others += (customer_ids[place - 1] for place in script(keys=keys, args=[*head, encode(hashes, part)]))
    return others


def encode(hashes: Hashes, part: slice) -> bytes:
    """What RESTAMP takes of a part of the customers. Text, not bytes: Redis' msgpack knows no others."""
    stamps = [[stamp and stamp.decode() for stamp in column[part]] for column in hashes.stamps.values()]
    moved = [column[part] for column in hashes.moved.values()]
    return msgspec.msgpack.encode((list(hashes.stamps), list(hashes.moved), stamps, moved))
