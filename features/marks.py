"""Marks as an outbox: written with a change, deleted after it was published."""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models.functions import Now

from events.models import DirtyCustomer

# A mark written by a flow that publishes itself comes due only where that flow has died.
OUTBOX = timedelta(seconds=15)


def mark(customer_ids: Sequence[str]) -> list[int]:
    """Marks the customers in the caller's transaction, due later. Returns the marks' ids, for `settle`."""
    marks = [DirtyCustomer(customer_id=customer_id, due_at=Now() + OUTBOX) for customer_id in customer_ids]
    return [mark.pk for mark in DirtyCustomer.objects.bulk_create(marks)]


def settle(marks: Sequence[int]) -> None:
    """Deletes the marks: their customers were computed and published."""
    if marks:
        DirtyCustomer.objects.filter(pk__in=marks).delete()
