"""Customers who were erased: nothing of them is taken in while their tombstone stands."""

import hashlib
from collections.abc import Collection

from django.db import connection, transaction

from events.models import ErasedCustomer
from featurehub.lib.errors import ConflictError, InvalidError

# Ingestions hold it together, a burial alone: so every event that was on its way is there to be deleted after it.
HOLD_OFF_ERASURE = "select pg_advisory_xact_lock_shared(hashtextextended('events.erasure', 0))"
WAIT_FOR_INGESTIONS = "select pg_advisory_xact_lock(hashtextextended('events.erasure', 0))"
# A tombstone keeps no id to look for. All marks are read for that: by hand only, and there are few.
LAST_MARK = """
select max(due_at) from events_dirtycustomer
where sha256(convert_to(customer_id, 'UTF8')) = (select customer_hash from events_erasedcustomer where id = %s)
"""
ERASED = "This customer was erased: nothing of them is taken in while the tombstone stands."


class ErasedError(InvalidError):
    """Events of these customers were to be taken in."""

    def __init__(self, customer_ids: Collection[str]) -> None:
        super().__init__(ERASED, code="erased", attr="customer_id")
        self.customer_ids = frozenset(customer_ids)


def hash_of(customer_id: str) -> bytes:
    """SHA-256 of the id: what a tombstone keeps."""
    return hashlib.sha256(customer_id.encode()).digest()


def add_tombstone(customer_id: str) -> None:
    """Puts the tombstone up and commits it, after the ingestions that are under way."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(WAIT_FOR_INGESTIONS)
        ErasedCustomer.objects.get_or_create(customer_hash=hash_of(customer_id))


def remove_tombstone(tombstone_id: int) -> bool:
    """Lets the customer be taken in again, as a new one. Returns False where the tombstone is gone already.

    Raises ConflictError while the mark of the erasure is there: what was published late is not deleted yet, and
    without the tombstone the mark would ask for the customer to be computed, who is nobody.
    """
    with connection.cursor() as cursor:
        cursor.execute(LAST_MARK, [tombstone_id])
        (due_at,) = cursor.fetchone()
    if due_at is not None:
        moment = f"{due_at:%H:%M:%S} UTC"
        raise ConflictError(f"The erasure is not finished: a worker deletes what was published late, from {moment} on.")
    deleted, _ = ErasedCustomer.objects.filter(pk=tombstone_id).delete()
    return bool(deleted)


def erased_among(customer_ids: Collection[str]) -> set[str]:
    """Those of the customers that have a tombstone. One query."""
    by_hash = {hash_of(customer_id): customer_id for customer_id in customer_ids}
    buried = ErasedCustomer.objects.filter(customer_hash__in=by_hash).values_list("customer_hash", flat=True)
    return {by_hash[bytes(found)] for found in buried}


def refuse_erased(customer_ids: Collection[str]) -> None:
    """Raises ErasedError where there are any."""
    if customer_ids:
        raise ErasedError(customer_ids)
