"""Write, read and delete the hashes of the online store. All of it can be lost and rebuilt from PostgreSQL."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson
from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import OutOfMemoryError

from featurehub.lib.batched import batched
from features.online import layout
from features.online.hmget import Row, hmget_each
from features.online.scripts import ERASE, PUBLISH
from features.registry.snapshot import registry_snapshot

logger = logging.getLogger(__name__)

# Redis does nothing else meanwhile, for some 4 ms. What a script writes goes into the log at its end, out of the
# processor's cache where it is little enough: of 250 customers at once, each costs Redis a tenth more.
PUBLISHED_PER_SCRIPT = 100
ERASED_PER_SCRIPT = 250
# A customer without values is remembered for a short time only: ids that nobody has would fill the memory.
ABSENT_SECONDS = 60
# For this long a publication that was under way at an erasure finds that there was one.
ERASED_SECONDS = 3600
# In columns of texts: the field stays as it is, or there is no value any more.
UNCHANGED, REMOVED = "", False


class Published(NamedTuple):
    """The newest values of one customer and feature type; `sequence` is the id of their history row.

    They hold at `as_of_us` (microseconds since 1970 UTC); it and `version` are None where PostgreSQL has no values of
    the type. `without` are the names that Redis may hold of older values and that these do not have: they are deleted.
    `decay_snapshot` is the text of `decay_snapshots`, empty for values that clients wrote or that are derived.
    """

    feature_type: str
    version: str | None
    as_of_us: int | None
    sequence: int
    features: Mapping[str, float]
    metadata: Mapping[str, Any]
    without: Sequence[str] = ()
    decay_snapshot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """`keys` counts every key of this Redis database, a few that are not customers among them."""

    keys: int
    bytes_used: int


class Hash(NamedTuple):
    """A customer's hash: of the live versions, or with a suffix (`:behavioral:2.0`) of another version."""

    customer_id: str
    suffix: str = ""


def write_hashes(values: Mapping[Hash, Sequence[Published]]) -> int:
    """Publish each hash's values by type, in the order given. Return the number that were newer than what Redis held.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    published = 0
    for chunk in batched(values.items(), PUBLISHED_PER_SCRIPT):
        keys = [layout.key_of(*place) for place, _ in chunk]
        document = encode_hashes(by_type for _, by_type in chunk)
        published += int(run_script(PUBLISH, keys=keys, args=[settings.FEATURE_TTL, ABSENT_SECONDS, document]) or 0)
    return published


def run_script(script: str, *, keys: Sequence[str], args: Sequence[Any]) -> Any:
    """Return what a script that writes the hashes returns. With Redis' memory full, delete them instead; return None.

    Redis has less than PostgreSQL then, and nothing older.
    """
    client = get_redis_connection("default")
    try:
        return client.register_script(script)(keys=keys, args=args)
    except OutOfMemoryError as error:
        logger.warning("Redis is full, the values of %d keys are deleted from it: %s", len(keys), error)
        client.delete(*keys)
        return None


def encode_hashes(hashes: Iterable[Sequence[Published]]) -> bytes:
    """Return PUBLISH's document of the values in these hashes: those of the same types, one after the other, together.

    As columns, each name is sent once for all of them, and the values of a name are written as a whole, which takes a
    third of the time that a document for each hash would take.
    """
    groups = (list(group) for _, group in groupby(hashes, key=types_of))
    return msgspec.msgpack.encode([(len(group), list(map(as_columns, zip(*group, strict=True)))) for group in groups])


def types_of(parts: Sequence[Published]) -> list[str]:
    return [part.feature_type for part in parts]


class PartColumns(NamedTuple):
    """The values of one feature type in n hashes: the stamps, and for each field of `names` a column of n texts."""

    stamp_field: str
    stamps: list[str]
    names: list[str]
    texts: list[list[str | bool]]


def as_columns(parts: Sequence[Published]) -> PartColumns:
    """Return one part of each hash as columns; UNCHANGED for a field of which a part says nothing."""
    names = list(dict.fromkeys(chain.from_iterable((*part.features, *part.without) for part in parts)))
    values = np.array([[part.features.get(name, np.nan) for name in names] for part in parts], dtype=np.float64).T
    texts: list[str | bool] = [*layout.value_texts(values.ravel())]
    columns = [texts[first : first + len(parts)] for first in range(0, len(texts), len(parts))]
    for number, place in np.argwhere(np.isnan(values)).tolist():
        columns[number][place] = REMOVED if names[number] in parts[place].without else UNCHANGED
    feature_type = parts[0].feature_type
    return PartColumns(
        stamp_field=layout.stamp_field(feature_type),
        stamps=[stamp_of(part) for part in parts],
        names=[layout.metadata_field(feature_type), layout.decay_snapshot_field(feature_type), *names],
        texts=[
            [orjson.dumps(part.metadata).decode() for part in parts],
            [part.decay_snapshot or UNCHANGED for part in parts],
            *columns,
        ],
    )


def stamp_of(part: Published) -> str:
    """Return the stamp of published values, empty where PostgreSQL has none."""
    if part.as_of_us is None or part.version is None:
        return ""
    return layout.stamp(part.as_of_us, sequence=part.sequence, version=part.version)


def read_hashes(customer_ids: Sequence[str], fields: Sequence[str], *, suffix: str = "") -> Sequence[Row]:
    """Return the fields of each customer's hash, in the order asked: one round trip, however many customers."""
    rows: Sequence[Row] = hmget_each(layout.keys_of(customer_ids, suffix), tuple(fields))
    return rows


def as_rows(hashes: Sequence[Sequence[Published]], fields: Sequence[str]) -> list[Row]:
    """Return the rows that `read_hashes` would return of hashes, all of the same types, that were just published."""
    columns: dict[str, Sequence[bytes | None]] = {}
    for part in map(as_columns, zip(*hashes, strict=True)):
        columns[part.stamp_field] = [stamp.encode() for stamp in part.stamps]
        for name, texts in zip(part.names, part.texts, strict=True):
            columns[name] = [str(text).encode() if text else None for text in texts]
    nothing = [None] * len(hashes)
    return [[columns.get(field, nothing)[place] for field in fields] for place in range(len(hashes))]


def delete_hashes(customer_ids: Collection[str]) -> None:
    """Delete the customers' hashes of every version that was ever computed."""
    if customer_ids:  # nearly always there are none, and the registry is not asked for
        get_redis_connection("default").delete(*keys_of_all_versions(customer_ids))


def erase_hashes(customer_ids: Iterable[str], *, last_row: int) -> int:
    """Delete the customers' hashes of every version that was ever computed. Return the number of keys.

    Values of history rows up to `last_row` are not published any more, whoever has read them before and comes late.
    """
    script = get_redis_connection("default").register_script(ERASE)
    deleted = 0
    for chunk in batched(customer_ids, ERASED_PER_SCRIPT):
        keys = keys_of_all_versions(chunk)
        deleted += int(script(keys=keys, args=[layout.row_number_text(last_row), ERASED_SECONDS]))
    return deleted


def keys_of_all_versions(customer_ids: Iterable[str]) -> list[str]:
    """Return the keys of the customers' hashes of every version that was ever computed."""
    suffixes = ("", *(layout.suffix_of(*key) for key in registry_snapshot.get(younger_than=0).started))
    return [layout.key_of(customer_id, suffix) for customer_id in customer_ids for suffix in suffixes]


def seconds_left(customer_id: str) -> float | None:
    """Return the seconds until the customer's hash expires; None where there is none."""
    milliseconds: int = get_redis_connection("default").pttl(layout.key_of(customer_id))
    return milliseconds / 1000 if milliseconds >= 0 else None


def occupancy() -> Occupancy:
    """Return how full Redis is. Raise redis' ConnectionError or TimeoutError where it is away."""
    client = get_redis_connection("default")
    return Occupancy(keys=client.dbsize(), bytes_used=int(client.info("memory")["used_memory"]))
