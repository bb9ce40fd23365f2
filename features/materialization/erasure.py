"""Erase one customer everywhere. After a crash at any line it can be run again."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F, Func, Value
from django.db.models.functions import Now

from events.models import DirtyCustomer, Event
from events.tombstones import add_tombstone
from featurehub.lib.redis_away import REDIS_AWAY
from features.materialization.locks import database_now, lock_customers, lock_writers, register_customers
from features.models import ConsistencyCheck, Customer, CustomerFeature, InconsistentCustomer
from features.models.definitions import WRITTEN_BY_CLIENTS
from features.online import store
from features.online.outbox import PUBLICATION_TIME


@dataclass(frozen=True, slots=True)
class Receipt:
    """The numbers of what was deleted; `redis_keys` is None where Redis is away: a worker deletes them later."""

    customer_id: str
    erased_at: datetime
    events: int
    history_rows: int
    redis_keys: int | None


def erase_customer(customer_id: str) -> Receipt:
    """Delete the customer's events, history, state and Redis keys, and put up a tombstone that refuses new ones.

    1. Commit the tombstone: from here on nothing of the customer is taken in.
    2. Delete everything in PostgreSQL in one transaction, and leave a mark.
    3. Delete the keys in Redis. Where this process dies before, a worker finds the mark and deletes them.
    """
    add_tombstone(customer_id)
    with transaction.atomic():
        # Wait for those who compute or write this customer now. Whoever comes later finds the tombstone.
        for feature_type in WRITTEN_BY_CLIENTS:
            lock_writers(customer_id, feature_type=feature_type)
        register_customers([customer_id])
        lock_customers([customer_id])
        DirtyCustomer.objects.filter(customer_id=customer_id).delete()
        events, _ = Event.objects.filter(customer_id=customer_id).delete()
        history_rows, _ = CustomerFeature.objects.filter(customer_id=customer_id).delete()
        Customer.objects.filter(pk=customer_id).delete()
        forget_in_checks(customer_id)
        DirtyCustomer.objects.create(customer_id=customer_id, due_at=Now() + PUBLICATION_TIME)
        erased_at = database_now()
    return Receipt(
        customer_id=customer_id,
        erased_at=erased_at,
        events=events,
        history_rows=history_rows,
        redis_keys=delete_from_redis(customer_id),
    )


def forget_in_checks(customer_id: str) -> None:
    """Delete what checks of consistency found of the customer, and take the id out of the one that runs."""
    InconsistentCustomer.objects.filter(customer_id=customer_id).delete()
    for name in ("waiting", "postponed"):
        ConsistencyCheck.objects.filter(**{f"{name}__contains": [customer_id]}).update(
            **{name: Func(F(name), Value(customer_id), function="array_remove")}
        )


def delete_from_redis(customer_id: str) -> int | None:
    """Delete the customer's Redis keys. Return their number, None where Redis is away."""
    try:
        return store.delete_hashes([customer_id])
    except REDIS_AWAY:
        return None
