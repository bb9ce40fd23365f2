"""The set-based engine: the activity of many customers in one statement."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from features.formulas import NEVER, Activity

CUSTOMERS_PER_CHUNK = 10_000

# `{wanted}` selects the customers; `{of_wanted}` restricts the events to them. Moments leave as whole microseconds,
# sums of amounts as the double nearest to the exact decimal sum, so every engine hands the formulas the same numbers.
ACTIVITY = """
with wanted as ({wanted}),
recent as (
    select customer_id, event_type, "timestamp", session_id, amount, category
    from events_event
    where "timestamp" between %(oldest)s and %(as_of)s {of_wanted}
),
totals as (
    select customer_id,
        count(*) filter (where event_type = 'page_view') as page_view,
        count(*) filter (where event_type = 'email_open') as email_open,
        count(*) filter (where event_type = 'email_click') as email_click,
        count(*) filter (where event_type = 'form_submit') as form_submit,
        count(*) filter (where event_type = 'purchase') as purchase,
        count(*) filter (where event_type = 'login') as login,
        -- `least` passes over nulls: without the zero, a customer who bought nothing would have the largest double.
        least(coalesce(sum(amount) filter (where event_type = 'purchase'), 0), 1.7976931348623157e308)::float8
            as purchase_amount,
        max("timestamp") filter (where event_type = 'purchase') as last_purchase,
        min("timestamp") as first_event
    from recent
    group by customer_id
),
sessions as (
    select customer_id, count(*) as sessions, sum((extract(epoch from length) * 1000000)::bigint) as session_us
    from (
        select customer_id, max("timestamp") - min("timestamp") as length
        from recent
        where session_id is not null
        group by customer_id, session_id
    ) session
    group by customer_id
),
categories as (
    select customer_id, sum(events) as categorised_events, max(events) as top_category_events
    from (
        select customer_id, count(*) as events
        from recent
        where category is not null
        group by customer_id, category
    ) category
    group by customer_id
)
select wanted.customer_id,
    coalesce(page_view, 0), coalesce(email_open, 0), coalesce(email_click, 0),
    coalesce(form_submit, 0), coalesce(purchase, 0), coalesce(login, 0),
    coalesce(purchase_amount, 0),
    coalesce((extract(epoch from last_purchase) * 1000000)::bigint, %(never)s),
    coalesce((extract(epoch from first_event) * 1000000)::bigint, %(never)s),
    coalesce(sessions, 0), coalesce(session_us, 0)::bigint,
    coalesce(categorised_events, 0)::bigint, coalesce(top_category_events, 0)
from wanted
left join totals using (customer_id)
left join sessions using (customer_id)
left join categories using (customer_id)
"""
COLUMNS = (
    "page_view",
    "email_open",
    "email_click",
    "form_submit",
    "purchase",
    "login",
    "purchase_amount",
    *Activity.COLUMNS,
)
ACTIVITY_OF_SOME = ACTIVITY.format(
    wanted="select unnest(%(customer_ids)s::text[]) as customer_id",
    of_wanted="and customer_id = any(%(customer_ids)s::text[])",
)
ACTIVITY_OF_ALL = ACTIVITY.format(wanted="select customer_id from features_customer", of_wanted="")


def aggregate(customer_ids: Sequence[str], *, as_of: datetime, window_days: int) -> Activity:
    """The activity of these customers at `as_of`, in no particular order."""
    with connection.cursor() as cursor:
        cursor.execute(ACTIVITY_OF_SOME, {**window(as_of, window_days=window_days), "customer_ids": list(customer_ids)})
        return columns(cursor.fetchall())


def aggregate_all(*, as_of: datetime, window_days: int) -> Iterator[Activity]:
    """The activity of every customer in chunks: one pass over the window, streamed from a held cursor."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(ACTIVITY_OF_ALL, window(as_of, window_days=window_days))
        while rows := cursor.fetchmany(CUSTOMERS_PER_CHUNK):
            yield columns(rows)


def window(as_of: datetime, *, window_days: int) -> dict[str, Any]:
    """The parameters both statements share. 30 days are 30 × 24 h, whatever a session's time zone says."""
    return {"as_of": as_of, "oldest": as_of - timedelta(days=window_days), "never": NEVER}


def columns(rows: list[tuple[Any, ...]]) -> Activity:
    """Rows of (customer_id, *COLUMNS) as columns."""
    return Activity.from_records([row[0] for row in rows], [dict(zip(COLUMNS, row[1:], strict=True)) for row in rows])
