"""Tombstones of erased customers: while one exists, no data of its customer is accepted."""

import hashlib
from collections.abc import Collection

from django.db import connection, transaction

from events.models import ErasedCustomer
from featurehub.lib.errors import ConflictError, InvalidError

# Ingestions share the lock, an erasure takes it alone. So all events that were being ingested are committed, and the
# erasure deletes them.
HOLD_OFF_ERASURE = "select pg_advisory_xact_lock_shared(hashtextextended('events.erasure', 0))"
WAIT_FOR_INGESTIONS = "select pg_advisory_xact_lock(hashtextextended('events.erasure', 0))"
# A tombstone does not store the id, so that every mark is hashed. Only the admin does this, and marks are few.
LAST_MARK = """
select max(due_at) from events_dirtycustomer
where sha256(convert_to(customer_id, 'UTF8')) = (select customer_hash from events_erasedcustomer where id = %s)
"""
ERASED_CODE = "erased"
ERASED = "This customer was erased: no data of this customer is accepted while the tombstone exists."


class ErasedError(InvalidError):
    """Raised for data of customers who were erased."""

    def __init__(self, customer_ids: Collection[str]) -> None:
        super().__init__(ERASED, code=ERASED_CODE, attr="customer_id")
        self.customer_ids = frozenset(customer_ids)


def hash_of(customer_id: str) -> bytes:
    """Return the SHA-256 of a customer_id, which a tombstone stores."""
    return hashlib.sha256(customer_id.encode()).digest()


def add_tombstone(customer_id: str) -> None:
    """Add the tombstone and commit it, after all ingestions that are under way."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(WAIT_FOR_INGESTIONS)
        ErasedCustomer.objects.get_or_create(customer_hash=hash_of(customer_id))


def remove_tombstone(tombstone_id: int) -> bool:
    """Delete the tombstone, so that the customer is accepted again, as a new one.

    Return False if the tombstone is gone already. Raise ConflictError while the dirty mark of the erasure exists: late
    publications are not deleted yet, and without the tombstone the mark would request a computation of the customer.
    """
    with connection.cursor() as cursor:
        cursor.execute(LAST_MARK, [tombstone_id])
        (due_at,) = cursor.fetchone()
    if due_at is not None:
        moment = f"{due_at:%H:%M:%S} UTC"
        raise ConflictError(
            f"The erasure is not finished: after {moment}, a worker deletes values that were published late."
        )
    deleted, _ = ErasedCustomer.objects.filter(pk=tombstone_id).delete()
    return bool(deleted)


def erased_among(customer_ids: Collection[str]) -> set[str]:
    """Return those of the customers who have a tombstone, with one query."""
    by_hash = {hash_of(customer_id): customer_id for customer_id in customer_ids}
    buried = ErasedCustomer.objects.filter(customer_hash__in=by_hash).values_list("customer_hash", flat=True)
    return {by_hash[bytes(found)] for found in buried}


def refuse_erased(customer_ids: Collection[str]) -> None:
    """Raise ErasedError if there are any customers."""
    if customer_ids:
        raise ErasedError(customer_ids)
