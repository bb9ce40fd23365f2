"""Keys, fields and stamps of the online store. This module alone knows how they are written; Lua takes them from here.

The values of a customer stand in hashes:

    customer_features:c1                     the live versions of all types
    {customer_features:c1}:behavioral:2.0    another readable version, on the main key's slot of a Redis Cluster

No customer id can be taken for a version: a main key never begins with a brace. A hash has a field for each feature,
its value a decimal string that round-trips the double, and for each feature type the store's own fields:

    _behavioral             the stamp; empty: PostgreSQL has no values of this type; absent: ask PostgreSQL
    _behavioral:metadata    the metadata, as JSON
    _behavioral:base        the decay snapshot, see `decay_snapshots`

and, for an hour after the customer was erased, in every hash:

    _erased                 the last history row of that moment: values of it or of earlier rows are not published

A stamp says how new the values are. Its parts have fixed widths, so that stamps compare as texts:

    01764104400000000 0000000000000000042 1.0
    |                 |                   version
    |                 id of the history row
    as_of, in microseconds since 1970 UTC
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

import orjson

from featurehub.lib.clock import EPOCH
from features.formulas.activity import Bools, Floats
from features.formulas.view import FeatureView
from features.registry.contents import Registry

PREFIX = "customer_features:"
# No key: deleting it tells whether Redis takes writes.
PROBE_KEY = "probe"
ERASED_FIELD = "_erased"
MOMENT_WIDTH, ROW_WIDTH = 17, 19
# The parts of a stamp: the moment; the blank and the row; the blank and the version.
STAMP_MOMENT = slice(MOMENT_WIDTH)
STAMP_ROW = slice(MOMENT_WIDTH, MOMENT_WIDTH + 1 + ROW_WIDTH)
STAMP_VERSION = slice(MOMENT_WIDTH + 1 + ROW_WIDTH, None)
# What the scripts take from here. Lua counts places from 1.
LUA_NAMES = {
    "erased_field": ERASED_FIELD,
    "moment_ends": MOMENT_WIDTH,
    "row_text_begins": MOMENT_WIDTH + 1,
    "row_begins": MOMENT_WIDTH + 2,
    "row_ends": MOMENT_WIDTH + 1 + ROW_WIDTH,
    "version_begins": MOMENT_WIDTH + 1 + ROW_WIDTH + 2,
}


# --- Keys -------------------------------------------------------------------------------------------------------------


def key_of(customer_id: str, suffix: str = "") -> str:
    """Return the key of a customer's hash: of the live versions, or of the version with this suffix."""
    return keys_of([customer_id], suffix)[0]


def keys_of(customer_ids: Iterable[str], suffix: str = "") -> list[str]:
    """Return the key of each customer's hash, in the order given."""
    before, after = (f"{{{PREFIX}", f"}}{suffix}") if suffix else (PREFIX, "")
    return [f"{before}{customer_id}{after}" for customer_id in customer_ids]


def suffix_of(feature_type: str, number: str) -> str:
    """Return what follows the braces in a version's key."""
    return f":{feature_type}:{number}"


def suffix_in(registry: Registry, view: FeatureView) -> str:
    """Return the suffix of the hash that holds a view's values: empty where the view is live."""
    return "" if registry.is_live(view) else suffix_of(*view.key)


# --- Fields -----------------------------------------------------------------------------------------------------------


def stamp_field(feature_type: str) -> str:
    return f"_{feature_type}"


def metadata_field(feature_type: str) -> str:
    return f"_{feature_type}:metadata"


def decay_snapshot_field(feature_type: str) -> str:
    return f"_{feature_type}:base"


def value_texts(values: Floats) -> list[str]:
    """Return the decimal string of each double, which the whole of a customer's values has, too; `null` for NaN.

    They are written and taken apart as a whole, in a fifth of the time that each value would take.
    """
    return orjson.dumps(values.tolist()).decode()[1:-1].split(",") if len(values) else []


def chosen_texts(values: Floats, *, wanted: Bools, otherwise: str | bool) -> list[str | bool]:
    """Return the decimal string of each wanted value, and `otherwise` for the others."""
    pairs = zip(value_texts(values), wanted.tolist(), strict=True)
    return [text if is_wanted else otherwise for text, is_wanted in pairs]


# --- Stamps -----------------------------------------------------------------------------------------------------------


def stamps(moments_us: Sequence[int], *, row_ids: Sequence[int], version: str) -> list[str]:
    """Return the stamps of values at these moments (microseconds since 1970 UTC), from these history rows."""
    return [moment_text(moment) + row for moment, row in zip(moments_us, row_texts(row_ids, version), strict=True)]


def moment_text(as_of_us: int) -> str:
    """Return the first part of a stamp."""
    return f"{as_of_us:0{MOMENT_WIDTH}d}"


def row_texts(sequences: Sequence[int], version: str) -> list[str]:
    """Return the stamp of each row without its moment: the blank, the row, the blank, the version.

    All are formatted at once, in a third of the time.
    """
    line = f" %0{ROW_WIDTH}d {version}\n"
    return (line * len(sequences) % tuple(sequences)).split("\n")[:-1]


def row_number_text(sequence: int) -> str:
    """Return the row as stamps have it, and the field of an erased customer."""
    return f"{sequence:0{ROW_WIDTH}d}"


def version_text(version: str) -> bytes:
    """Return the end of every stamp of a version, and of no other's: the blank and the version."""
    return f" {version}".encode()


def row_of(text: bytes | None) -> int:
    """Return the row of a stamp; 0 where it is absent or empty."""
    return int(text[STAMP_ROW]) if text else 0


def parts_of_stamp(text: bytes) -> tuple[int, int, str]:
    """Return the moment (microseconds since 1970 UTC), the row and the version. Raise ValueError for no stamp."""
    return int(text[STAMP_MOMENT]), int(text[STAMP_ROW]), text[STAMP_VERSION].decode().removeprefix(" ")


def oldest_moment(stamps: Sequence[bytes | None]) -> datetime | None:
    """Return the as_of of the oldest stamp; None where all are absent or empty."""
    oldest = stamps[0] if len(stamps) == 1 else min(filter(None, stamps), default=None)
    return moment_of(oldest[STAMP_MOMENT]) if oldest else None


# Customers of one chunk are computed at one moment, so the last moments are kept.
@lru_cache(maxsize=1_024)
def moment_of(text: bytes) -> datetime:
    """Return the moment that `moment_text` wrote."""
    return EPOCH + timedelta(microseconds=int(text))
