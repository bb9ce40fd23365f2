"""The outbox: customers that a committed transaction has changed and that are still to be published.

The transaction that changes customers writes an entry with them. After the commit its process publishes them and
settles the entry. Where the process dies in between, the entry stays and the sweep publishes it.
"""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from events.tombstones import erased_among
from features.models import Publication
from features.online.publish import publish, unpublish

# An entry is left to its writer for this long; then the sweep publishes it.
PUBLICATION_TIME = timedelta(seconds=15)


def announce(customer_ids: Sequence[str]) -> int:
    """Write an entry for these customers in the caller's transaction. Return its id, for `settle`."""
    return Publication.objects.create(customer_ids=list(customer_ids), due_at=Now() + PUBLICATION_TIME).pk


def settle(publication_id: int) -> None:
    """Delete the entry: its customers were published."""
    Publication.objects.filter(pk=publication_id).delete()


def overdue() -> QuerySet[Publication]:
    """Return the entries whose writers have died, or found Redis away."""
    return Publication.objects.filter(due_at__lte=Now())


def publish_overdue() -> int:
    """Publish the customers of the oldest overdue entry. Return their number, 0 where no entry is overdue.

    Customers that were erased meanwhile are deleted from Redis instead. Raises redis' ConnectionError or TimeoutError
    where it is away.
    """
    with transaction.atomic():
        publication = overdue().order_by("due_at").select_for_update(skip_locked=True).first()
        if publication is None:
            return 0
        erased = erased_among(publication.customer_ids)
        unpublish(erased)
        publish(sorted(set(publication.customer_ids) - erased))
        publication.delete()
    return len(publication.customer_ids)
