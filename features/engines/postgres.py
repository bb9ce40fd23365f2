"""The set-based engine: the activity of many customers in one statement."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from features.engines.activity_sql import COLUMNS, activity_sql
from features.formulas import Activity
from features.windowed import WindowedFeature

DIALECT = {
    "events": "events_event",
    "oldest": "%(oldest)s",
    "as_of": "%(as_of)s",
    "double": "float8",
    "length": 'max("timestamp") - min("timestamp")',
    "sum_of_lengths": "(extract(epoch from sum(length)) * 1000000)::bigint",
    "last_purchase_us": "(extract(epoch from last_purchase) * 1000000)::bigint",
    "first_event_us": "(extract(epoch from first_event) * 1000000)::bigint",
}
ACTIVITY_OF_SOME = activity_sql(
    {**DIALECT, "materialized": "materialized"},
    wanted="select unnest(%(customer_ids)s::text[]) as customer_id",
    of_wanted="and customer_id = any(%(customer_ids)s::text[])",
)
# Read three times rather than written aside once: so the scans are parallel.
ACTIVITY_OF_ALL = activity_sql(
    {**DIALECT, "materialized": "not materialized"}, wanted="select customer_id from features_customer"
)


def aggregate(
    customer_ids: Sequence[str], *, as_of: datetime, window_days: int, features: Sequence[WindowedFeature] = ()
) -> Activity:
    """The activity of these customers at `as_of`, in no particular order."""
    with connection.cursor() as cursor:
        cursor.execute(ACTIVITY_OF_SOME, {**window(as_of, window_days=window_days), "customer_ids": list(customer_ids)})
        return columns(cursor.fetchall())


def aggregate_into(table: str, *, as_of: datetime, window_days: int) -> None:
    """The activity of every customer as a new table. A table, because PostgreSQL runs no cursor in parallel."""
    with connection.cursor() as cursor:
        into = f"create table {connection.ops.quote_name(table)} as {ACTIVITY_OF_ALL}"
        cursor.execute(into, window(as_of, window_days=window_days))


def window(as_of: datetime, *, window_days: int) -> dict[str, Any]:
    """The parameters both statements share. 30 days are 30 × 24 h, whatever a session's time zone says."""
    return {"as_of": as_of, "oldest": as_of - timedelta(days=window_days)}


def columns(rows: Sequence[tuple[Any, ...]]) -> Activity:
    """Rows of (customer_id, *COLUMNS) as columns."""
    customer_ids, *values = zip(*rows, strict=True) if rows else [() for _ in range(len(COLUMNS) + 1)]
    return Activity.from_columns(list(customer_ids), dict(zip(COLUMNS, values, strict=True)))
