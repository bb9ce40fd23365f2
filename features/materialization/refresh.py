"""The story told once: which customers, compute, append, publish.

Every flow here has the same shape. In one transaction the customers are claimed and locked, `as_of` is read from
PostgreSQL's clock, the values are computed and what is news is appended. After the commit the customers are published
from what PostgreSQL holds, and only then their marks, or their entry in the outbox, go. A process that dies at any line
leaves them, and whoever finds them does the work again, to the same result.
"""

from collections.abc import Sequence

from django.db import connection, transaction
from django.db.models.functions import Now

from events.models import DirtyCustomer
from events.tombstones import erased_among
from features.materialization.compute import compute_from_events
from features.materialization.renewal import renew
from features.models import Customer
from features.online import store
from features.online.outbox import announce, settle
from features.online.publish import publish

CUSTOMERS_PER_CHUNK = 1_000
# With an array: a thousand parameters take longer than what they delete.
DELETE_MARKS = "delete from events_dirtycustomer where id = any(%s)"


def refresh_dirty(*, limit: int = CUSTOMERS_PER_CHUNK) -> int:
    """Recomputes and publishes the customers of the oldest due marks. Returns how many marks were settled.

    The mark of an erased customer asks for its Redis keys to be deleted.
    """
    with transaction.atomic():
        due = DirtyCustomer.objects.filter(due_at__lte=Now()).order_by("due_at")
        marks = list(due.select_for_update(skip_locked=True)[:limit])
        marked = {mark.customer_id for mark in marks}
        erased = erased_among(marked)
        customer_ids = sorted(marked - erased)
        compute_from_events(customer_ids)
    store.delete_hashes(erased)
    publish(customer_ids)
    delete_marks([mark.pk for mark in marks])
    return len(marks)


def delete_marks(marks: Sequence[int]) -> None:
    """Their customers were computed and published."""
    if marks:
        with connection.cursor() as cursor:
            cursor.execute(DELETE_MARKS, [list(marks)])


def refresh_departed(*, limit: int = CUSTOMERS_PER_CHUNK) -> int:
    """Recomputes and publishes customers that an event has left since their last computation. Returns how many."""
    with transaction.atomic():
        departed = Customer.objects.filter(recompute_at__lt=Now()).order_by("recompute_at")
        claimed = list(departed.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:limit])
        if not claimed:
            return 0
        publication = announce(claimed)
        compute_from_events(claimed)
    publish(claimed)
    settle(publication)
    return len(claimed)


def refresh_active(*, limit: int = CUSTOMERS_PER_CHUNK) -> int:
    """One step of keeping active customers right and alive: those that an event has left, then the next renewals.

    Returns 0 where there is nothing to do.
    """
    return refresh_departed(limit=limit) or renew()
