"""Marks as an outbox: written with a change, deleted after it was published."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection

# A mark written by a flow that publishes itself comes due only where that flow has died.
OUTBOX = timedelta(seconds=15)
# SQL with arrays: a thousand model instances and parameters take longer than scoring a thousand customers.
MARK = """
insert into events_dirtycustomer (customer_id, due_at)
select unnest(%(customer_ids)s::text[]), statement_timestamp() + %(outbox)s
returning id
"""
SETTLE = "delete from events_dirtycustomer where id = any(%s)"


def mark(customer_ids: Sequence[str]) -> list[int]:
    """Marks the customers in the caller's transaction, due later. Returns the marks' ids, for `settle`."""
    with connection.cursor() as cursor:
        parameters: dict[str, Any] = {"customer_ids": list(customer_ids), "outbox": OUTBOX}
        cursor.execute(MARK, parameters)
        return [pk for (pk,) in cursor.fetchall()]


def settle(marks: Sequence[int]) -> None:
    """Deletes the marks: their customers were computed and published."""
    if marks:
        with connection.cursor() as cursor:
            cursor.execute(SETTLE, [list(marks)])
