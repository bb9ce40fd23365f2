"""The story told once: which customers, compute, append, publish.

Every flow here has the same shape. In one transaction the customers are claimed and locked, `as_of` is read from
PostgreSQL's clock, the values are computed and what is news is appended. After the commit the customers are published
from what PostgreSQL holds, and only then their marks, or their entry in the outbox, go. A process that dies at any line
leaves them, and whoever finds them does the work again, to the same result.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from events.models import DirtyCustomer
from events.tombstones import erased_among
from features import store
from features.computation import compute_from_events, compute_from_history, database_now, lock, record, register
from features.differences import publish_differences
from features.engines import postgres
from features.models import Customer, Run
from features.outbox import announce, settle
from features.publishing import publish
from features.registry import registry
from features.renewal import renew
from features.runs import earlier_sets, overtaken

CUSTOMERS_PER_CHUNK = 1_000
RESCORED_PER_CHUNK = 2_000
# With an array: a thousand parameters take longer than what they delete.
DELETE_MARKS = "delete from events_dirtycustomer where id = any(%s)"
Progress = Callable[[int], object]


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
    store.forget(erased)
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


def rescore(run: Run, *, limit: int = RESCORED_PER_CHUNK) -> int:
    """Scores the next customers that were computed under other weights; reads no events. Returns how many.

    None where other weights are active by now: the run that they started does the work.
    """
    with transaction.atomic():
        # A list, not a subquery, and in no order: so the index of `weight_set` gives a chunk without looking further.
        claimed = []
        if not overtaken(run):
            waiting = Customer.objects.filter(weight_set__in=earlier_sets(run)).select_for_update(skip_locked=True)
            claimed = list(waiting.values_list("pk", flat=True)[:limit])
        if not claimed:
            return 0
        publication = announce(claimed)
        recomputed = compute_from_history(claimed)
        Run.objects.filter(pk=run.pk).update(done=F("done") + len(claimed), updated_at=Now())
    publish_differences(claimed, recomputed)
    settle(publication)
    return len(claimed)


def recompute(
    *, customer_ids: Sequence[str], as_of: datetime | None = None, progress: Progress = lambda done: None
) -> int:
    """Recomputes these customers from their events, now or as of an earlier moment. Returns how many.

    For everybody, see `recomputation`. `progress` is told how many customers each chunk had.
    """
    wanted = sorted(set(customer_ids) - erased_among(customer_ids))
    register(wanted)
    moment = as_of or database_now()
    for chunk in store.batched(wanted, CUSTOMERS_PER_CHUNK):
        activity = postgres.aggregate(
            chunk, as_of=moment, window_days=settings.WINDOW_DAYS, features=registry.get().windowed
        )
        with transaction.atomic():
            lock(chunk)
            publication = announce(chunk)
            record(activity, as_of=moment)
        publish(chunk)
        settle(publication)
        progress(len(chunk))
    return len(wanted)
