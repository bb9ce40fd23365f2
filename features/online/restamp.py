"""Giving hashes of the online store a later moment: their stamps, the values that have changed, and the TTL.

Beside `store` the only code that writes Redis. The script compares and sets: a hash that holds other rows than the
caller expects stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from django.conf import settings
from django_redis import get_redis_connection

from features.online.store import CUSTOMERS_PER_SCRIPT, key_of, moment_text

# ARGV: the TTL, the moment, and a document of columns, see `Hashes`. Answers which keys hold other rows than expected;
# those of a later moment already are left alone. (EXPIRE would be translated into PEXPIREAT for each key.)
RESTAMP = """
local call, sub, time, moment = redis.call, string.sub, redis.call('TIME'), ARGV[2]
local ends_at = string.format('%.0f', (time[1] + ARGV[1]) * 1000 + math.floor(time[2] / 1000))
local stamps, expected, endings, names, changed = unpack(cmsgpack.unpack(ARGV[3]))
local width, new, others = #stamps, {}, {}
for n, stamp in ipairs(stamps) do new[2 * n - 1] = stamp end
for i, key in ipairs(KEYS) do
  local held, is_expected, is_later = width > 0 and call('HMGET', key, unpack(stamps)), true, false
  for n = 1, width do
    local stamp = held[n]
    if not stamp or sub(stamp, 18) ~= expected[n][i] then
      is_expected = false
      others[#others + 1] = i
      break
    end
    is_later = is_later or stamp > moment
    new[2 * n] = stamp == '' and '' or moment .. (endings[n] and endings[n][i] or expected[n][i])
  end
  if is_expected and not is_later then
    local last = 2 * width
    for n, name in ipairs(names) do
      local text = changed[n][i]
      if not text then
        call('HDEL', key, name)
      elseif text ~= '' then
        new[last + 1], new[last + 2] = name, text
        last = last + 2
      end
    end
    if last > 0 then call('HSET', key, unpack(new, 1, last)) end
    call('PEXPIREAT', key, ends_at)
  end
end
return others
"""
UNCHANGED = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashes:
    """One hash of each of n customers, as columns by field.

    `expected` is what stamps end in from the row on, where Redis holds what the caller starts from, and `endings` what
    they end in from now on where that changes. Of the `changed` values, texts, UNCHANGED says that Redis has them
    already, and False that there is none any more.
    """

    suffix: str
    customer_ids: Sequence[str]
    expected: Mapping[str, Sequence[str]]
    changed: Mapping[str, Sequence[str | bool]]
    endings: Mapping[str, Sequence[str]] = field(default_factory=dict)


def restamp(hashes: Hashes, *, as_of_us: int) -> list[str]:
    """Gives the hashes the moment `as_of_us`, their changed values and a TTL. Returns the customers whose hash does not
    hold what is expected.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    script = get_redis_connection("default").register_script(RESTAMP)
    head = (settings.FEATURE_TTL, moment_text(as_of_us))
    others: list[str] = []
    for first in range(0, len(hashes.customer_ids), CUSTOMERS_PER_SCRIPT):
        part = slice(first, first + CUSTOMERS_PER_SCRIPT)
        customer_ids = hashes.customer_ids[part]
        keys = [key_of(customer_id, hashes.suffix) for customer_id in customer_ids]
        others += (customer_ids[place - 1] for place in script(keys=keys, args=[*head, encode_columns(hashes, part)]))
    return others


def encode_columns(hashes: Hashes, part: slice) -> bytes:
    """The document of RESTAMP for a part of the customers. Text, not bytes: Redis' msgpack knows no others."""
    expected = [column[part] for column in hashes.expected.values()]
    endings = [hashes.endings[name][part] for name in hashes.expected if name in hashes.endings]
    changed = [column[part] for column in hashes.changed.values()]
    return msgspec.msgpack.encode((list(hashes.expected), expected, endings, list(hashes.changed), changed))
