"""Erase one customer everywhere. After a crash at any line it can be run again."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F, Func, Value

from events.models import DirtyCustomer, Event
from events.tombstones import add_tombstone, erased_among, mark_erased
from featurehub.lib.redis_away import REDIS_AWAY
from features.materialization.locks import database_now, lock_customers, lock_writers, register_customers
from features.models import ConsistencyCheck, Customer, CustomerFeature, InconsistentCustomer, ProfiledDay
from features.models.definitions import WRITTEN_BY_CLIENTS
from features.online.outbox import announce, hand_over, settle
from features.online.publish import unpublish

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The numbers of what was deleted.

    While Redis is away, `done` is False and `redis_keys` None: values that it holds are read until a worker has deleted
    them, as soon as Redis is back. After an erasure that is done nobody reads a value any more.
    """

    customer_id: str
    erased_at: datetime
    events: int
    history_rows: int
    redis_keys: int | None
    done: bool


def is_known(customer_id: str) -> bool:
    """Return whether anything is stored of the customer, or was before an erasure."""
    return (
        Customer.objects.filter(pk=customer_id).exists()
        or Event.objects.filter(customer_id=customer_id).exists()
        or bool(erased_among([customer_id]))
    )


def erasures_to_finish(erased: Collection[str]) -> set[str]:
    """Return those of the customers with a tombstone of whom PostgreSQL still holds anything but the tombstone."""
    return {
        *Customer.objects.filter(pk__in=erased).values_list("pk", flat=True),
        *Event.objects.filter(customer_id__in=erased).values_list("customer_id", flat=True).distinct(),
    }


def erase_customer(customer_id: str) -> Receipt:
    """Delete the customer's events, history, state and Redis keys, and put up a tombstone that refuses new ones.

    1. Commit the tombstone: from here on nothing of the customer is taken in. A mark comes with it, by which a worker
       does the rest where this process dies.
    2. Delete everything in PostgreSQL in one transaction, and announce it in the outbox. A mark for later deletes what
       a Redis that has lost its memory is given by somebody who is late.
    3. Delete the keys in Redis, for good: what somebody has read before 2, and publishes later, is refused there. Where
       this process dies before, or Redis is away, the sweep does it; where Redis loses it again, recovery does.
    """
    add_tombstone(customer_id)
    with transaction.atomic():
        # Wait for those who compute or write this customer now. Whoever comes later finds the tombstone.
        for feature_type in WRITTEN_BY_CLIENTS:
            lock_writers([customer_id], feature_type=feature_type)
        register_customers([customer_id])
        lock_customers([customer_id])
        DirtyCustomer.objects.filter(customer_id=customer_id).delete()
        events, _ = Event.objects.filter(customer_id=customer_id).delete()
        history_rows, _ = CustomerFeature.objects.filter(customer_id=customer_id).delete()
        Customer.objects.filter(pk=customer_id).delete()
        forget_in_checks(customer_id)
        entry = announce([customer_id])
        mark_erased(customer_id)
        erased_at = database_now()
    redis_keys = delete_from_redis(customer_id, entry)
    return Receipt(
        customer_id=customer_id,
        erased_at=erased_at,
        events=events,
        history_rows=history_rows,
        redis_keys=redis_keys,
        done=redis_keys is not None,
    )


def forget_in_checks(customer_id: str) -> None:
    """Delete what checks of consistency found of the customer, and take the id out of the samples that are read."""
    InconsistentCustomer.objects.filter(customer_id=customer_id).delete()
    for model, name in ((ConsistencyCheck, "waiting"), (ConsistencyCheck, "postponed"), (ProfiledDay, "waiting")):
        model._default_manager.filter(**{f"{name}__contains": [customer_id]}).update(
            **{name: Func(F(name), Value(customer_id), function="array_remove")}
        )


def delete_from_redis(customer_id: str, entry: int | None) -> int | None:
    """Delete the customer's Redis keys and settle. Return their number; None where Redis is away."""
    try:
        deleted = unpublish([customer_id])
    except REDIS_AWAY as error:
        logger.warning("An erasure is not done: the sweep deletes the customer's values when Redis is back: %s", error)
        hand_over(entry)
        return None
    settle(entry)
    return deleted
