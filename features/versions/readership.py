"""Which API keys read which versions: whoever retires a version is told who would miss it."""

import logging
import time
from collections.abc import Mapping, Sequence

from django.db import Error, connection
from psycopg_pool import PoolTimeout

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_NOTES = 3_600.0
# While PostgreSQL is away, one reader in so many seconds waits to find that out.
SECONDS_UNTIL_NEXT_TRY = 60.0

# In the order of the versions, as everybody who locks them does. Neither the key nor the version need be there still.
NOTE = """
insert into features_versionread (api_key_id, version_id, read_at)
select api_key.id, version.id, statement_timestamp()
from unnest(%(types)s::text[], %(numbers)s::text[]) as read (feature_type, number)
join features_featureversion version on (version.feature_type, version.number) = (read.feature_type, read.number)
join access_apikey api_key on api_key.id = %(key_id)s
order by version.id
on conflict (version_id, api_key_id) do update set read_at = excluded.read_at
"""

# (key, type, number) → when it is noted again, by this process' clock. Bounded by keys × versions.
_due: dict[tuple[int, str, str], float] = {}
_next_try = 0.0


def note_read(key_id: int, versions: Mapping[str, str]) -> None:
    """Notes that a key reads these versions (type → number): once an hour each, else it is a look into memory.

    Where PostgreSQL is away that is logged, and noted with a read after.
    """
    now = time.monotonic()
    for feature_type, number in versions.items():
        if _due.get((key_id, feature_type, number), 0.0) <= now and now >= _next_try:
            note(key_id, [read for read in versions.items() if _due.get((key_id, *read), 0.0) <= now], now=now)
            return


def note(key_id: int, reads: Sequence[tuple[str, str]], *, now: float) -> None:
    # Before it is done: other threads need not wait for the same.
    _due.update({(key_id, *read): now + SECONDS_BETWEEN_NOTES for read in reads})
    types, numbers = zip(*reads, strict=True)
    try:
        with connection.cursor() as cursor:
            cursor.execute(NOTE, {"key_id": key_id, "types": list(types), "numbers": list(numbers)})
    except (Error, PoolTimeout) as error:
        _due.update(dict.fromkeys(((key_id, *read) for read in reads), 0.0))
        put_off(now + SECONDS_UNTIL_NEXT_TRY)
        logger.warning("It was not noted what API key %s reads: %s", key_id, error)


def put_off(until: float) -> None:
    global _next_try
    _next_try = until


def forget_reads() -> None:
    """Notes anew what is read from now on."""
    _due.clear()
    put_off(0.0)
