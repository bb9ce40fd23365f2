"""The last use of each API key, so that whoever looks at the list sees which keys nobody needs any more."""

import logging
import time
from functools import partial

from django.db import Error
from django.db.models.functions import Now

from featurehub.access.models import ApiKey
from featurehub.lib.background import run_beside_requests

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_KEY_NOTES = 300.0
# Key → the monotonic time from which its use is noted again. Bounded by the number of keys.
_key_due: dict[int, float] = {}


def note_key_use(key_id: int) -> None:
    """Note that the key is in use, each process once in SECONDS_BETWEEN_KEY_NOTES: in a pool beside the request.

    In between it costs a look-up in memory. Where PostgreSQL is away, that is logged, and a later use is noted.
    """
    now = time.monotonic()
    if _key_due.get(key_id, 0.0) > now:
        return
    _key_due[key_id] = now + SECONDS_BETWEEN_KEY_NOTES
    run_beside_requests(partial(write_key_use, key_id))


def write_key_use(key_id: int) -> None:
    """Write the use to PostgreSQL. One statement."""
    try:
        ApiKey.objects.filter(pk=key_id).update(last_used_at=Now())
    except Error as error:
        logger.warning("It was not noted that API key %s is in use: %s", key_id, error)
