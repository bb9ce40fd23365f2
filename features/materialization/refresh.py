"""Refresh: compute customers with dirty marks or departed events, and renew the other active ones."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from django.db import connection
from django.db.models.functions import Now

from events.models import DirtyCustomer
from events.tombstones import erased_among
from featurehub.lib.traffic import DELAY_BOUNDS, PUBLICATION_DELAY, traffic
from featurehub.observability.tracing import PublishedMarks, tracing
from features.materialization.compute import compute_from_events
from features.materialization.erasure import erase_customer, erasures_to_finish
from features.materialization.pipeline import Claim, process
from features.materialization.renewal import renew
from features.models import Customer

CUSTOMERS_PER_CHUNK = 1_000
# An array is one parameter: to bind a thousand takes longer than to delete the rows.
DELETE_MARKS = "delete from events_dirtycustomer where id = any(%s)"


def refresh_dirty(*, limit: int = CUSTOMERS_PER_CHUNK) -> int:
    """Recompute and publish the customers of the oldest due marks. Return the number of marks that were settled.

    Erased customers among them are not computed; their hashes are deleted. An erasure whose process has died is
    finished, and its marks stay until then.
    """
    marks: list[DirtyCustomer] = []
    unfinished: set[str] = set()

    def claim() -> Claim:
        due = DirtyCustomer.objects.filter(due_at__lte=Now()).order_by("due_at")
        marks[:] = due.select_for_update(skip_locked=True)[:limit]
        tracing.link(sorted({mark.traceparent for mark in marks} - {""}))
        marked = {mark.customer_id for mark in marks}
        erased = erased_among(marked)
        unfinished.update(erasures_to_finish(erased))
        settle = partial(delete_marks, [mark.pk for mark in marks if mark.customer_id not in unfinished])
        return Claim(customer_ids=sorted(marked - erased), erased=erased, settle=settle)

    process(claim, compute=compute_from_events)
    for customer_id in unfinished:
        erase_customer(customer_id)
    note_published(marks)
    return len(marks)


def note_published(marks: Sequence[DirtyCustomer]) -> None:
    """Count the time from each mark's moment until now, and show the publication in the traces of their requests."""
    now = datetime.now(UTC)
    traced: dict[str, list[DirtyCustomer]] = defaultdict(list)
    delays = [max((now - mark.due_at).total_seconds(), 0.0) for mark in marks]
    if delays:
        traffic.observe_all((PUBLICATION_DELAY, ()), delays, bounds=DELAY_BOUNDS)
    for mark in marks:
        if mark.traceparent:
            traced[mark.traceparent].append(mark)
    tracing.note_published(
        [
            PublishedMarks(
                traceparent=traceparent, customers=len(its_marks), since=min(mark.due_at for mark in its_marks)
            )
            for traceparent, its_marks in traced.items()
        ]
    )


def delete_marks(marks: Sequence[int]) -> None:
    """Delete the marks of customers that were computed and published."""
    if marks:
        with connection.cursor() as cursor:
            cursor.execute(DELETE_MARKS, [list(marks)])


def refresh_departed(*, limit: int = CUSTOMERS_PER_CHUNK) -> int:
    """Recompute and publish customers that an event has left since their last computation. Return their number."""

    def claim() -> Claim | None:
        departed = Customer.objects.filter(recompute_at__lt=Now()).order_by("recompute_at")
        waiting = departed.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)
        claimed = list(waiting[:limit])
        return Claim(customer_ids=claimed) if claimed else None

    claimed = process(claim, compute=compute_from_events)
    return 0 if claimed is None else len(claimed.customer_ids)


def refresh_active(*, limit: int = CUSTOMERS_PER_CHUNK) -> int:
    """Refresh the active customers that an event has left, else renew the next buckets. Return 0 with nothing to do."""
    return refresh_departed(limit=limit) or renew()
