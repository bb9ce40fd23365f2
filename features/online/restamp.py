"""Give hashes a later moment: their stamps, the values that changed, and the TTL.

A hash that holds other rows than the caller expects stays as it is, and is published as a whole instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from django.conf import settings

from features.online.layout import keys_of, moment_text
from features.online.scripts import RESTAMP
from features.online.store import run_script

RESTAMPED_PER_SCRIPT = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class RestampedHashes:
    """One hash of each of n customers, as columns by field.

    `expected` are the stamps' ends, from the row on, that Redis holds where it holds what the caller starts from;
    `endings` are their new ends, where those change. A text of the `changed` values is the new value, UNCHANGED or
    REMOVED.
    """

    suffix: str
    customer_ids: Sequence[str]
    expected: Mapping[str, Sequence[str]]
    changed: Mapping[str, Sequence[str | bool]]
    endings: Mapping[str, Sequence[str]] = field(default_factory=dict)


def restamp(hashes: RestampedHashes, *, as_of_us: int) -> list[str]:
    """Give the hashes the moment `as_of_us`, their changed values and a TTL. Return the customers with other rows.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    head = (settings.FEATURE_TTL, moment_text(as_of_us))
    others: list[str] = []
    for first in range(0, len(hashes.customer_ids), RESTAMPED_PER_SCRIPT):
        part = slice(first, first + RESTAMPED_PER_SCRIPT)
        customer_ids = hashes.customer_ids[part]
        keys = keys_of(customer_ids, hashes.suffix)
        places = run_script(RESTAMP, keys=keys, args=[*head, encode_columns(hashes, part)])
        others += (customer_ids[place - 1] for place in places or ())
    return others


def encode_columns(hashes: RestampedHashes, part: slice) -> bytes:
    """Return the document of RESTAMP for a part of the customers, as text: Redis' msgpack knows no bytes."""
    expected = [column[part] for column in hashes.expected.values()]
    endings = [hashes.endings[name][part] for name in hashes.expected if name in hashes.endings]
    changed = [column[part] for column in hashes.changed.values()]
    return msgspec.msgpack.encode((list(hashes.expected), expected, endings, list(hashes.changed), changed))
