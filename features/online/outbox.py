"""The outbox: who is to be published after a commit, written by the transaction that has changed them.

Whoever commits publishes, and settles the entry. One that dies in between leaves it, and the sweep publishes.
"""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from events.tombstones import erased_among
from features.models import Publication
from features.online import store
from features.online.publish import publish

# Time that a committed change is left to its writer to be published, before the sweep publishes it.
PUBLICATION_TIME = timedelta(seconds=15)


def announce(customer_ids: Sequence[str]) -> int:
    """Notes in the caller's transaction that these customers are to be published. Returns the entry, for `settle`."""
    return Publication.objects.create(customer_ids=list(customer_ids), due_at=Now() + PUBLICATION_TIME).pk


def settle(publication_id: int) -> None:
    """The customers of the entry were published."""
    Publication.objects.filter(pk=publication_id).delete()


def overdue() -> QuerySet[Publication]:
    """The entries whose writers have died, or found Redis away."""
    return Publication.objects.filter(due_at__lte=Now())


def publish_overdue() -> int:
    """Publishes the customers of the oldest overdue entry. Returns how many: 0 where none is overdue.

    Of the erased among them the Redis keys are deleted. Raises redis' ConnectionError or TimeoutError where it is away.
    """
    with transaction.atomic():
        publication = overdue().order_by("due_at").select_for_update(skip_locked=True).first()
        if publication is None:
            return 0
        erased = erased_among(publication.customer_ids)
        store.delete_hashes(erased)
        publish(sorted(set(publication.customer_ids) - erased))
        publication.delete()
    return len(publication.customer_ids)
