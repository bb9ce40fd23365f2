"""Customers who were erased: nothing of them is taken in while their tombstone stands."""

import hashlib
from collections.abc import Collection, Sequence

from django.db import connection, transaction

from events.models import ErasedCustomer
from events.validation import NewEvent
from featurehub.errors import InvalidError

# Ingestions hold it together, a burial alone: so every event that was on its way is there to be deleted after it.
HOLD_OFF_ERASURE = "select pg_advisory_xact_lock_shared(hashtextextended('events.erasure', 0))"
WAIT_FOR_INGESTIONS = "select pg_advisory_xact_lock(hashtextextended('events.erasure', 0))"
ERASED = "This customer was erased: nothing of them is taken in while the tombstone stands."


def hash_of(customer_id: str) -> bytes:
    """SHA-256 of the id: what a tombstone keeps."""
    return hashlib.sha256(customer_id.encode()).digest()


def bury(customer_id: str) -> None:
    """Puts the tombstone up and commits it, after the ingestions that are under way."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(WAIT_FOR_INGESTIONS)
        ErasedCustomer.objects.get_or_create(customer_hash=hash_of(customer_id))


def take_away(tombstone_id: int) -> bool:
    """Lets the customer be taken in again, as a new one. Returns False where the tombstone is gone already."""
    deleted, _ = ErasedCustomer.objects.filter(pk=tombstone_id).delete()
    return bool(deleted)


def erased_among(customer_ids: Collection[str]) -> set[str]:
    """Those of the customers that have a tombstone. One query."""
    by_hash = {hash_of(customer_id): customer_id for customer_id in customer_ids}
    buried = ErasedCustomer.objects.filter(customer_hash__in=by_hash).values_list("customer_hash", flat=True)
    return {by_hash[bytes(found)] for found in buried}


def refuse_erased(events: Sequence[NewEvent], *, erased: Collection[str]) -> None:
    """Raises InvalidError with `attr` `events.N.customer_id` at the first event of an erased customer."""
    if not erased:
        return
    position = next(number for number, event in enumerate(events) if event.customer_id in erased)
    raise InvalidError(ERASED, code="erased", attr=f"events.{position}.customer_id")
