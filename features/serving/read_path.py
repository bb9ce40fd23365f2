"""The read path: Redis, else PostgreSQL with a refill of Redis.

1. Read the rows from Redis: one round trip for each hash that the plan needs.
2. A row is a hit where every type has a stamp of the requested version, or the known-empty marker.
3. After a version went live, complete the misses from the hash in which the switch may have left their values.
4. Read the others from PostgreSQL, and put them into Redis.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

from featurehub.lib.redis_away import REDIS_AWAY
from featurehub.lib.traffic import COUNTED_HITS, FALLBACKS, READS, traffic
from features.online import layout, store
from features.online.hmget import Row
from features.online.publish import current_hashes
from features.serving.completeness import completeness
from features.serving.read_plan import ReadPlan, places_in_hashes

logger = logging.getLogger(__name__)

CACHE, DATABASE = "cache", "database"
COUNTED_DATABASE = (READS, (DATABASE,))
# Why Redis is not asked: it is away, or may hold older values than were shown.
REDIS_IS_AWAY, REDIS_IS_INCOMPLETE = "away", "incomplete"


def read_rows(customer_ids: Sequence[str], plan: ReadPlan) -> Iterable[tuple[str, Row, str]]:
    """Return (customer_id, row, source) of each customer, in the order asked."""
    rows, failure = read_cached(customer_ids, plan, hashes=plan.hashes)
    if are_hits(rows, version_texts=plan.version_texts):
        # A lock costs many rows little.
        if traffic.note_hit() if len(rows) == 1 else traffic.note_hits(len(rows)):
            note_age(rows, types=len(plan.version_texts))
        return zip(customer_ids, rows, repeat(CACHE))
    misses = {
        customer_id: row
        for customer_id, row in zip(customer_ids, rows, strict=True)
        if not is_hit(row, version_texts=plan.version_texts)
    }
    if misses and plan.is_switching:
        misses = fill_from_before_the_switch(misses, plan)
    stored = read_through(list(misses), plan) if misses else {}
    traffic.count(COUNTED_HITS, number=len(customer_ids) - len(stored))
    traffic.count(COUNTED_DATABASE, number=len(stored))
    if failure is not None and stored:
        traffic.count((FALLBACKS, (failure,)), number=len(stored))
    if traffic.wants_age():
        note_age([stored.get(customer_ids[0], rows[0])], types=len(plan.version_texts))
    return [
        (customer_id, stored[customer_id], DATABASE) if customer_id in stored else (customer_id, row, CACHE)
        for customer_id, row in zip(customer_ids, rows, strict=True)
    ]


def note_age(rows: Sequence[Row], *, types: int) -> None:
    """Note the age of the first row's oldest values; nothing where it has none."""
    oldest = layout.oldest_moment(rows[0][:types]) if rows else None
    if oldest is not None:
        traffic.note_age(max(time.time() - oldest.timestamp(), 0.0))


def read_cached(
    customer_ids: Sequence[str], plan: ReadPlan, *, hashes: Mapping[str, Sequence[int]]
) -> tuple[Sequence[Row], str | None]:
    """Return Redis' rows, read from these hashes (suffix → places of its fields) in one round trip each, and None.

    Rows of None and the reason, where Redis is away or may hold older values than were shown. Rows of None as well,
    where no registered name is asked for.
    """
    failure = REDIS_IS_INCOMPLETE
    try:
        # Before, to save the round trip; after it, since that may have been with another Redis than before.
        if completeness.holds():
            rows = read_hashes_of(customer_ids, plan.fields, hashes=hashes)
            if completeness.holds():
                return rows, None
    except REDIS_AWAY as error:
        failure = REDIS_IS_AWAY
        logger.warning("Redis is away, PostgreSQL answers: %s", error)
    return [[None] * len(plan.fields)] * len(customer_ids), failure


def read_hashes_of(
    customer_ids: Sequence[str], fields: Sequence[str], *, hashes: Mapping[str, Sequence[int]]
) -> Sequence[Row]:
    """Return the rows of these hashes (suffix → places of its fields). Raises redis-py's exceptions."""
    if len(hashes) == 1:
        return store.read_hashes(customer_ids, fields, suffix=next(iter(hashes)))
    rows: list[Row] = [[None] * len(fields) for _ in customer_ids]
    for suffix, places in hashes.items():
        parts = store.read_hashes(customer_ids, [fields[n] for n in places], suffix=suffix)
        for row, part in zip(rows, parts, strict=True):
            for n, text in zip(places, part, strict=True):
                row[n] = text
    return rows


def are_hits(rows: Sequence[Row], *, version_texts: Sequence[bytes]) -> bool:
    """Return whether all rows are hits. Four times as fast as `is_hit` of many: stamps have few different endings."""
    if len(rows) == 1:
        return is_hit(rows[0], version_texts=version_texts)
    return all(
        {stamp and stamp[layout.STAMP_VERSION] for stamp in (row[place] for row in rows)} <= {version_text, b""}
        for place, version_text in enumerate(version_texts)
    )


def is_hit(row: Row, *, version_texts: Sequence[bytes]) -> bool:
    """Return whether the row is a cache hit.

    A hit has, of every type, a stamp of the requested version or the known-empty marker.
    """
    for place, version_text in enumerate(version_texts):
        stamp = row[place]
        if stamp is None or (stamp and not stamp.endswith(version_text)):
            return False
    return True


def fill_from_before_the_switch(misses: dict[str, Row], plan: ReadPlan) -> dict[str, Row]:
    """Complete rows after a version went live, until every customer was published again. Return the remaining misses.

    The version that is live now may still be in its own hash, and the version that was live before in the live hash.
    """
    views = zip(plan.versions.items(), plan.suffixes.values(), strict=True)
    elsewhere = {name: layout.suffix_of(name, number) if suffix == "" else "" for (name, number), suffix in views}
    others, _ = read_cached(list(misses), plan, hashes=places_in_hashes(plan.types, suffixes=elsewhere))
    for row, other in zip(misses.values(), others, strict=True):
        for n, (feature_type, version_text) in enumerate(zip(plan.versions, plan.version_texts, strict=True)):
            texts = [version_text]
            if not is_hit(row[n : n + 1], version_texts=texts) and is_hit(other[n : n + 1], version_texts=texts):
                for place, type_there in enumerate(plan.types):
                    if type_there == feature_type:
                        row[place] = other[place]
    return {
        customer_id: row for customer_id, row in misses.items() if not is_hit(row, version_texts=plan.version_texts)
    }


def read_through(customer_ids: Sequence[str], plan: ReadPlan) -> dict[str, Row]:
    """Return the customers' values from PostgreSQL as rows of Redis, and put them into Redis unless it is away."""
    hashes = current_hashes(customer_ids)
    try:
        store.write_hashes(hashes)
    except REDIS_AWAY as error:
        logger.warning("Redis was not refilled: %s", error)
    published = [
        version
        for each in hashes
        for version in each.versions
        if plan.suffixes.get(version.feature_type) == each.suffix
    ]
    return dict(zip(customer_ids, store.as_rows(published, plan.fields), strict=True))
