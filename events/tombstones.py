"""Tombstones of erased customers: while one exists, no data of its customer is accepted.

A tombstone holds an HMAC of the customer's id, not the id. Without the key, nobody can find out by trying ids who was
erased. The key is not in PostgreSQL, nor is it sent there: ids are hashed here.
"""

import hashlib
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max
from django.db.models.functions import Now

from events.models import DirtyCustomer, ErasedCustomer
from featurehub.lib.errors import ConflictError, InvalidError

# Ingestions share the lock, an erasure takes it alone. So all events that were being ingested are committed, and the
# erasure deletes them.
HOLD_OFF_ERASURE = "select pg_advisory_xact_lock_shared(hashtextextended('events.erasure', 0))"
WAIT_FOR_INGESTIONS = "select pg_advisory_xact_lock(hashtextextended('events.erasure', 0))"
ANY_TOMBSTONE = "select exists (select from events_erasedcustomer)"
# The hashes are sent as one value, 32 bytes each: an array of as many takes longer to send and to parse.
ERASED_HASHES = """
select customer_hash from events_erasedcustomer
where customer_hash in (
    select substring(%(hashes)s::bytea from 32 * place + 1 for 32) from generate_series(0, %(number)s - 1) place
)
"""
# From this number of customers on, their hashes take longer than to ask first whether there is any tombstone.
MANY_CUSTOMERS = 100
# An erasure is left to its process for this long.
ERASURE_TIME = timedelta(seconds=15)
ERASED_CODE = "erased"
ERASED = "This customer was erased: no data of this customer is accepted while the tombstone exists."
# A key is padded to a block; the two hashes of an HMAC begin with it and these paddings (RFC 2104).
HMAC_BLOCK_BYTES = 64
INNER, OUTER = 0x36, 0x5C


class ErasedError(InvalidError):
    """Raised for data of customers who were erased."""

    def __init__(self, customer_ids: Collection[str]) -> None:
        super().__init__(ERASED, code=ERASED_CODE, attr="customer_id")
        self.customer_ids = frozenset(customer_ids)


def hash_of(customer_id: str) -> bytes:
    """Return the hash of a customer_id under the newest key, which a new tombstone stores."""
    [newest, *_] = hashes_of(customer_id)
    return newest


def hashes_of(customer_id: str) -> list[bytes]:
    """Return the hashes of a customer_id under each of the keys, the newest first."""
    return [next(iter(by_hash([customer_id], key=key))) for key in settings.TOMBSTONE_KEYS]


def by_hash(customer_ids: Collection[str], *, key: str) -> dict[bytes, str]:
    """Return the customers by their HMAC-SHA-256 under the key.

    The states of both hashes after the key are copied. So an id takes a third of the time that `hmac.digest` takes.
    """
    inner, outer = states_after(key)
    found = {}
    for customer_id in customer_ids:
        first, second = inner.copy(), outer.copy()
        first.update(customer_id.encode())
        second.update(first.digest())
        found[second.digest()] = customer_id
    return found


@lru_cache(maxsize=16)
def states_after(key: str) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """Return the inner and the outer hash of an HMAC under the key, before the message."""
    short = key.encode()
    if len(short) > HMAC_BLOCK_BYTES:
        short = hashlib.sha256(short).digest()
    block = short.ljust(HMAC_BLOCK_BYTES, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ padding for byte in block)) for padding in (INNER, OUTER))
    return inner, outer


def key_check(key: str) -> bytes:
    """Return 8 bytes by which the key is told from others: of the HMAC of no id."""
    [digest] = by_hash([""], key=key)
    return digest[:8]


def has_tombstones_of_other_keys() -> bool:
    """Return whether there are tombstones that refuse nobody, as their key is not set."""
    known = [key_check(key) for key in settings.TOMBSTONE_KEYS]
    return ErasedCustomer.objects.filter(key_check__isnull=False).exclude(key_check__in=known).exists()


def add_tombstone(customer_id: str) -> None:
    """Add the tombstone and commit it, after all ingestions that are under way; one under an earlier key stays.

    With it comes a dirty mark, for a worker to finish the erasure where this process dies before it has.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(WAIT_FOR_INGESTIONS)
        if not ErasedCustomer.objects.filter(customer_hash__in=hashes_of(customer_id)).exists():
            ErasedCustomer.objects.create(
                customer_hash=hash_of(customer_id), key_check=key_check(settings.TOMBSTONE_KEYS[0])
            )
        mark_erased(customer_id)


def mark_erased(customer_id: str) -> None:
    """Write a dirty mark that is due when its process should be done: a worker then looks after the erasure."""
    DirtyCustomer.objects.create(customer_id=customer_id, due_at=Now() + ERASURE_TIME)


def remove_tombstone(tombstone_id: int) -> bool:
    """Delete the tombstone, so that the customer is accepted again, as a new one.

    Return False if the tombstone is gone already. Raise ConflictError while the dirty mark of the erasure exists: late
    publications are not deleted yet, and without the tombstone the mark would request a computation of the customer.
    """
    tombstone = ErasedCustomer.objects.filter(pk=tombstone_id).first()
    if tombstone is not None and (due_at := last_mark(bytes(tombstone.customer_hash))) is not None:
        moment = f"{due_at:%H:%M:%S} UTC"
        raise ConflictError(
            f"The erasure is not finished: after {moment}, a worker deletes values that were published late."
        )
    deleted, _ = ErasedCustomer.objects.filter(pk=tombstone_id).delete()
    return bool(deleted)


def last_mark(customer_hash: bytes) -> datetime | None:
    """Return when the last dirty mark of a tombstone's customer is due, None if there is none.

    A tombstone does not tell the id, so that every marked one is hashed. Only the admin does this, and marks are few.
    """
    last = DirtyCustomer.objects.order_by("customer_id").values_list("customer_id").annotate(Max("due_at"))
    return next((due_at for customer_id, due_at in last.iterator() if customer_hash in hashes_of(customer_id)), None)


def erased_among(customer_ids: Collection[str]) -> set[str]:
    """Return those of the customers who have a tombstone: one query, or two if they are many and there are any."""
    if not customer_ids:
        return set()
    with connection.cursor() as cursor:
        if len(customer_ids) >= MANY_CUSTOMERS:
            cursor.execute(ANY_TOMBSTONE)
            if not cursor.fetchone()[0]:
                return set()
        customers: dict[bytes, str] = {}
        for key in settings.TOMBSTONE_KEYS:
            customers |= by_hash(customer_ids, key=key)
        cursor.execute(ERASED_HASHES, {"hashes": b"".join(customers), "number": len(customers)})
        return {customers[bytes(found)] for (found,) in cursor.fetchall()}


def refuse_erased(customer_ids: Collection[str]) -> None:
    """Raise ErasedError if there are any customers."""
    if customer_ids:
        raise ErasedError(customer_ids)
