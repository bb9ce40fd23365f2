"""Recovery: publish again what Redis may have lost.

A Redis that was started again, restored or replaced by its replica lacks the writes of its last second or two. It has
another identity. PostgreSQL knows which Redis holds everything that was published, and for how long publications have
to be repeated: settled entries of the outbox are kept for KEPT, and renewals have their moments.

    1. The sweep sees another identity. It makes the kept entries and the buckets that were renewed since then due.
    2. Workers publish and renew them, as any others.
    3. The sweep sees that they are done, and notes that this Redis holds everything.

Until then readers do not use Redis (`serving.completeness`).
"""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from features.materialization.renewal import lease
from features.models import OnlineStore, Renewal
from features.online.identity import read_identity
from features.online.outbox import KEPT, delete_kept, publish_kept_again, unpublished

logger = logging.getLogger(__name__)


def recover() -> None:
    """Take one of the steps above, if one is due. Raises redis-py's exceptions where Redis is away."""
    seen = read_identity()
    with transaction.atomic():
        state = OnlineStore.objects.select_for_update().get()
        if seen == state.identity or not state.identity:
            note_identity(seen)
            delete_kept()
        elif seen != state.found:
            logger.warning("Redis was started again or replaced: what it may lack is published again.")
            Renewal.objects.filter(renewed_at__gte=state.checked_at - KEPT).update(due_at=Now())
            publish_kept_again()
            OnlineStore.objects.update(found=seen, found_at=Now())
        elif state.found_at is not None and not is_recovering(since=state.found_at):
            logger.warning("Redis holds everything again.")
            note_identity(seen)


def note_identity(identity: str) -> None:
    """Note that the Redis with this identity holds everything that was published."""
    OnlineStore.objects.update(identity=identity, checked_at=Now(), found="", found_at=None)


def is_recovering(*, since: datetime) -> bool:
    """Return whether something that was made due at `since` still has to be published or renewed."""
    return is_publishing(since=since) or Renewal.objects.filter(due_at=since).exists()


def is_publishing(*, since: datetime) -> bool:
    """Return whether Redis may lack something that PostgreSQL has from before `since`.

    That is a publication, or a renewal which PostgreSQL knows of from its claim on.
    """
    claimed = Renewal.objects.filter(due_at__lte=F("renewed_at") + lease())
    return unpublished().filter(created_at__lt=since).exists() or claimed.exists()
