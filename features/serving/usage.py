"""The use of versions and feature sets by API keys, so that whoever retires a version is told who still needs it."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial

from django.db import Error, connection

from featurehub.lib.background import run_beside_requests
from features.models import VersionUse

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_NOTES = 3_600.0
# While PostgreSQL is away, at most one request in this time waits to find that out.
SECONDS_UNTIL_NEXT_TRY = 60.0

# Ordered by version, as wherever versions are locked, so that no two statements wait for each other. The joins leave
# out a key or version that was deleted meanwhile.
NOTE = """
insert into features_versionuse (api_key_id, version_id, kind, used_at)
select api_key.id, version.id, %(kind)s, statement_timestamp()
from unnest(%(types)s::text[], %(numbers)s::text[]) as used (feature_type, number)
join features_featureversion version on (version.feature_type, version.number) = (used.feature_type, used.number)
join access_apikey api_key on api_key.id = %(key_id)s
order by version.id
on conflict (version_id, api_key_id, kind) do update set used_at = excluded.used_at
"""

NOTE_OF_SET = """
insert into features_featuresetuse (api_key_id, feature_set_id, used_at)
select api_key.id, made.id, statement_timestamp()
from features_featureset made join access_apikey api_key on api_key.id = %(key_id)s
where made.name = %(name)s and made.number = %(number)s
on conflict (feature_set_id, api_key_id) do update set used_at = excluded.used_at
"""

Kind = VersionUse.Kind
# Kind → (key, type, number) → the monotonic time from which the use is noted again. Bounded by keys × versions.
_due: dict[Kind, dict[tuple[int, str, str], float]] = {kind: {} for kind in Kind}
# (key, set) → the same for its reads by a feature set. Bounded by keys × sets.
_set_due: dict[tuple[int, str], float] = {}
_next_try = 0.0


def note_read(key_id: int, versions: Mapping[str, str], *, feature_set: str | None = None) -> None:
    """Note that a key reads these versions (type → number), each once an hour; in between it costs a look-up in memory.

    With `feature_set`, note also that it reads by that set. Where PostgreSQL is away, that is logged and a later read
    is noted.
    """
    note_use(Kind.READ, key_id=key_id, versions=versions)
    if feature_set is not None:
        note_use_of_set(key_id, feature_set)


def note_write(key_id: int, versions: Mapping[str, str]) -> None:
    """Note that a key writes values of these versions, as `note_read` does."""
    note_use(Kind.WRITE, key_id=key_id, versions=versions)


def note_use(kind: Kind, *, key_id: int, versions: Mapping[str, str]) -> None:
    """Note the versions, if any of them was not noted within the last hour: in a pool beside the request."""
    now, due = time.monotonic(), _due[kind]
    for feature_type, number in versions.items():
        if due.get((key_id, feature_type, number), 0.0) <= now and now >= _next_try:
            used = [use for use in versions.items() if due.get((key_id, *use), 0.0) <= now]
            # Set before the statement runs, so that other threads do not write the same uses.
            due.update({(key_id, *use): now + SECONDS_BETWEEN_NOTES for use in used})
            run_beside_requests(partial(note, kind, key_id=key_id, used=used))
            return


def note(kind: Kind, *, key_id: int, used: Sequence[tuple[str, str]]) -> None:
    """Write the uses, (type, number) each, to PostgreSQL. One statement."""
    types, numbers = zip(*used, strict=True)
    try:
        with connection.cursor() as cursor:
            cursor.execute(NOTE, {"key_id": key_id, "kind": kind, "types": list(types), "numbers": list(numbers)})
    except Error as error:
        _due[kind].update(dict.fromkeys(((key_id, *use) for use in used), 0.0))
        put_off(time.monotonic() + SECONDS_UNTIL_NEXT_TRY)
        logger.warning("It was not noted what API key %s uses (%s): %s", key_id, kind, error)


def note_use_of_set(key_id: int, feature_set: str) -> None:
    """Note that the key reads by the set, if it was not noted within the last hour: in a pool beside the request."""
    now = time.monotonic()
    if _set_due.get((key_id, feature_set), 0.0) <= now and now >= _next_try:
        _set_due[key_id, feature_set] = now + SECONDS_BETWEEN_NOTES
        run_beside_requests(partial(write_use_of_set, key_id, feature_set))


def write_use_of_set(key_id: int, feature_set: str) -> None:
    """Write the use of a set to PostgreSQL. One statement."""
    name, _, number = feature_set.partition(":")
    try:
        with connection.cursor() as cursor:
            cursor.execute(NOTE_OF_SET, {"key_id": key_id, "name": name, "number": int(number)})
    except Error as error:
        _set_due[key_id, feature_set] = 0.0
        put_off(time.monotonic() + SECONDS_UNTIL_NEXT_TRY)
        logger.warning("It was not noted that API key %s reads by %s: %s", key_id, feature_set, error)


def put_off(until: float) -> None:
    """Note nothing until this monotonic time."""
    global _next_try
    _next_try = until
