"""Write, read and delete the hashes of the online store. All of it can be lost and rebuilt from PostgreSQL."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import OutOfMemoryError, ResponseError

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


class PublishedVersion(NamedTuple):
    """The values of one version in n hashes, as texts: the stamps, and a column for each field.

    A stamp is empty where PostgreSQL has no values of the type. A text may be UNCHANGED or REMOVED instead.
    """

    feature_type: str
    stamps: Sequence[str]
    fields: Mapping[str, Sequence[str | bool]]


class PublishedHashes(NamedTuple):
    """One hash of each customer: of the live versions, or with a suffix (`:behavioral:2.0`) of another version."""

    suffix: str
    customer_ids: Sequence[str]
    versions: Sequence[PublishedVersion]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """`keys` counts every key of this Redis database, a few that are not customers among them."""

    keys: int
    bytes_used: int


def write_hashes(hashes: Iterable[PublishedHashes]) -> int:
    """Publish the values by version, in the order given. Return the number that were newer than what Redis held.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    published = 0
    for each in hashes:
        for first in range(0, len(each.customer_ids), PUBLISHED_PER_SCRIPT):
            part = slice(first, first + PUBLISHED_PER_SCRIPT)
            keys = layout.keys_of(each.customer_ids[part], each.suffix)
            args = [settings.FEATURE_TTL, ABSENT_SECONDS, encode_versions(each.versions, part)]
            published += int(run_script(PUBLISH, keys=keys, args=args) or 0)
    return published


def encode_versions(versions: Iterable[PublishedVersion], part: slice) -> bytes:
    """Return PUBLISH's document of a part of the customers. As columns, each name is sent once for all of them."""
    return msgspec.msgpack.encode(
        [
            (
                layout.stamp_field(version.feature_type),
                version.stamps[part],
                list(version.fields),
                [texts[part] for texts in version.fields.values()],
            )
            for version in versions
        ]
    )


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


def read_hashes(customer_ids: Sequence[str], fields: Sequence[str], *, suffix: str = "") -> Sequence[Row]:
    """Return the fields of each customer's hash, in the order asked: one round trip, however many customers."""
    rows: Sequence[Row] = hmget_each(layout.keys_of(customer_ids, suffix), tuple(fields))
    return rows


def read_columns(
    customer_ids: Sequence[str], fields: Sequence[str], *, suffix: str = ""
) -> list[Sequence[bytes | None]]:
    """Return a column for each field of at least one customer's hash, None for absent ones.

    One SORT reads them all: from a list of ids, in its order, it gets fields of the hashes that are named after them.
    HMGETs, with a reply for each hash, take Redis as long and this process longer. They read where Redis refuses SORT:
    that needs a list to be written, and may read any key.
    """
    patterns = [f"{layout.key_of('*', suffix)}->{field}" for field in fields]
    ids = f"reading:{uuid4()}"
    try:
        with get_redis_connection("default").pipeline() as pipeline:
            pipeline.rpush(ids, *customer_ids).sort(ids, by="nosort", get=patterns).delete(ids)
            _, texts, _ = pipeline.execute()
    except ResponseError as error:
        logger.debug("Redis refuses SORT, HMGETs read: %s", error)
        return list(zip(*read_hashes(customer_ids, fields, suffix=suffix), strict=True))
    return [texts[place :: len(fields)] for place in range(len(fields))]


def as_rows(versions: Iterable[PublishedVersion], fields: Sequence[str]) -> list[Row]:
    """Return the rows that `read_hashes` would return of hashes in which these versions were just published."""
    columns: dict[str, Sequence[bytes | None]] = {}
    for version in versions:
        columns[layout.stamp_field(version.feature_type)] = [stamp.encode() for stamp in version.stamps]
        for name, texts in version.fields.items():
            columns[name] = [str(text).encode() if text else None for text in texts]
    nothing = [None] * max(map(len, columns.values()), default=0)
    return [list(row) for row in zip(*(columns.get(field, nothing) for field in fields), strict=True)]


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
