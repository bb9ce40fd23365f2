"""Locks of customers, and the clock that all workers share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from events.models import DirtyCustomer
from events.tombstones import HOLD_OFF_ERASURE, erased_among
from featurehub.lib.batched import batched
from features.models import Customer
from features.models.definitions import WRITTEN_BY_CLIENTS

# To look for who is there costs less than an insertion that conflicts.
REGISTER_CUSTOMERS = """
with known as materialized (select customer_id from features_customer where customer_id = any(%(customer_ids)s::text[]))
insert into features_customer (customer_id)
select customer_id from unnest(%(customer_ids)s::text[]) customer_id
where customer_id not in (select customer_id from known)
order by 1 on conflict do nothing
"""
CUSTOMERS_AT_ONCE = 10_000
LOCK_CUSTOMERS = """
select customer_id from features_customer where customer_id = any(%s) order by customer_id for update
"""
# One writer at a time for a customer and type. The customer's row is not the lock, because a refresh may hold it for as
# long as a whole chunk takes. All customers together have 1,024 locks a type: PostgreSQL's table of locks has room for
# some thousands, and ten thousand customers may be written at once.
#
# Writers of these customers' values are kept out, too. Customers that somebody holds are left out.
TRY_TO_LOCK_CUSTOMERS = """
select customer_id from features_customer where customer_id = any(%s) order by customer_id for update skip locked
"""
TRY_TO_LOCK_WRITERS = """
select customer_id from unnest(%(customer_ids)s::text[]) customer_id
where (
    select bool_and(pg_try_advisory_xact_lock(
        hashtextextended(feature_type || ':' || (hashtextextended(customer_id, 0) & 1023), 0)))
    from unnest(%(feature_types)s::text[]) feature_type
)
"""
# In the order of their parts, so that no two writers wait for each other.
LOCK_WRITERS = """
select {lock}(hashtextextended(%(feature_type)s || ':' || part, 0)) from (
    select distinct hashtextextended(customer_id, 0) & 1023 as part
    from unnest(%(customer_ids)s::text[]) customer_id
    order by 1
) parts
"""
# Two imports would share the locks of a customer whom both of them write.
LOCK_IMPORTS = "select pg_advisory_lock(hashtextextended('features.import:' || %(feature_type)s, 0))"
UNLOCK_IMPORTS = "select pg_advisory_unlock(hashtextextended('features.import:' || %(feature_type)s, 0))"


def register_customers(customer_ids: Sequence[str]) -> None:
    """Insert the customers that have no row yet, so that there is a row to lock."""
    with connection.cursor() as cursor:
        cursor.execute(REGISTER_CUSTOMERS, {"customer_ids": list(customer_ids)})


def register_marked_customers() -> None:
    """Insert the customers that have a mark, no row yet, and no tombstone."""
    known = Customer.objects.filter(pk=OuterRef("customer_id"))
    new = DirtyCustomer.objects.filter(~Exists(known)).order_by("customer_id").values_list("customer_id", flat=True)
    for chunk in batched(new.distinct().iterator(CUSTOMERS_AT_ONCE), CUSTOMERS_AT_ONCE):
        with transaction.atomic():
            # Whoever is erased from here on until the commit is deleted after it.
            with connection.cursor() as cursor:
                cursor.execute(HOLD_OFF_ERASURE)
            erased = erased_among(chunk)
            register_customers([customer_id for customer_id in chunk if customer_id not in erased])


def lock_customers(customer_ids: Sequence[str]) -> set[str]:
    """Lock the customers' rows until the transaction ends. Return those that exist.

    Everybody locks in the order of the ids, so that no two transactions wait for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_CUSTOMERS, [list(customer_ids)])
        return {customer_id for (customer_id,) in cursor.fetchall()}


def lock_free_customers(customer_ids: Sequence[str]) -> list[str]:
    """Lock those of the customers that nobody computes or writes now, and keep writers waiting. Return them.

    The locks last until the transaction ends. It waits for nobody.
    """
    with connection.cursor() as cursor:
        cursor.execute(TRY_TO_LOCK_CUSTOMERS, [list(customer_ids)])
        free = [customer_id for (customer_id,) in cursor.fetchall()]
        cursor.execute(TRY_TO_LOCK_WRITERS, {"customer_ids": free, "feature_types": list(WRITTEN_BY_CLIENTS)})
        return [customer_id for (customer_id,) in cursor.fetchall()]


def database_now() -> datetime:
    """Return the time of PostgreSQL's clock, which all workers share.

    Read while a customer's lock is held, it is not before the last computation of this customer.
    """
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now


def lock_writers(customer_ids: Sequence[str], *, feature_type: str, is_import: bool = False) -> None:
    """Wait for other writers of these customers and type, and keep new ones waiting until the transaction ends.

    Writers of a few other customers wait, too: those that share a lock with one of these. The sessions of an import
    don't wait for each other, since each has customers of its own.
    """
    lock = "pg_advisory_xact_lock_shared" if is_import else "pg_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(
            LOCK_WRITERS.format(lock=lock), {"customer_ids": list(customer_ids), "feature_type": feature_type}
        )


@contextmanager
def only_import(*, feature_type: str) -> Iterator[None]:
    """Wait for other imports of the type, and keep new ones waiting until the end of the block.

    The lock belongs to the session, and ends with it.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_IMPORTS, {"feature_type": feature_type})
        try:
            yield
        finally:
            cursor.execute(UNLOCK_IMPORTS, {"feature_type": feature_type})
