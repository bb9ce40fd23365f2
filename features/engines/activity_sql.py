"""The SQL statement that turns events into activity, for PostgreSQL and Spark.

It returns moments as whole microseconds and sums of amounts as the nearest double, so that every engine gives the
formulas the same numbers. A dialect fills in what the two databases write differently; Spark runs with
`doubleQuotedIdentifiers`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from events.event_types import EVENT_TYPES
from features.engines import windowed_sql
from features.engines.windowed_sql import Bind
from features.formulas.activity import NEVER, Activity
from features.formulas.windowed import WindowedFeature

ACTIVITY_COLUMNS = (*EVENT_TYPES, "purchase_amount", *Activity.COMPUTED)
FIRST_TYPES = ", ".join(f"'{name}'" for name in EVENT_TYPES)
COUNTS_OF_FIRST_TYPES = ", ".join(f"count(*) filter (where event_type = '{name}') as {name}" for name in EVENT_TYPES)
COUNTS_OR_ZERO = ", ".join(f"coalesce({name}, 0) as {name}" for name in EVENT_TYPES)
# Of `recent`: one row and type, so that any number of types is counted in one pass; none while no such type has events.
COUNTS_OF_OTHER_TYPES = f"""select customer_id, {{counts_as_json}} as other_types
    from (
        select customer_id, event_type, count(*) as events
        from recent
        where {{has_other_types}} and event_type not in ({FIRST_TYPES}) and {{in_window}}
        group by customer_id, event_type
    ) other
    group by customer_id"""  # noqa: S608 - constants

# Every placeholder stands for SQL: `{wanted}` for a query for the customers, `{events}` for a table.
ACTIVITY_SQL = """
with recent as {materialized} (
    select customer_id, event_type, "timestamp", session_id, amount, category{metadata}
    from {events}
    where "timestamp" between {earliest} and {as_of} {of_wanted}
),
wanted as ({wanted}),
totals as (
    select customer_id,
        {counts_of_first_types},
        -- `least` ignores nulls: without the zero, a customer without a purchase would get the largest double.
        cast(least(coalesce(sum(amount) filter (where event_type = 'purchase'), 0), 1.7976931348623157e308) as {double})
            as purchase_amount,
        max("timestamp") filter (where event_type = 'purchase') as last_purchase,
        min("timestamp") as first_event, max("timestamp") as last_event
    from recent
    where {in_window}
    group by customer_id
),
sessions as (
    select customer_id, count(*) as sessions, {sum_of_lengths} as session_us
    from (
        select customer_id, {length} as length
        from recent
        where session_id is not null and {in_window}
        group by customer_id, session_id
    ) session
    group by customer_id
),
categories as (
    select customer_id, cast(sum(events) as bigint) as categorised_events, max(events) as top_category_events
    from (
        select customer_id, count(*) as events
        from recent
        where category is not null and {in_window}
        group by customer_id, category
    ) category
    group by customer_id
),
others as (
    {counts_of_other_types}
){windowed}
select wanted.customer_id,
    {counts_or_zero},
    coalesce(purchase_amount, 0) as purchase_amount,
    coalesce({last_purchase_us}, {never}) as last_purchase_us,
    coalesce({first_event_us}, {never}) as first_event_us,
    coalesce(sessions, 0) as sessions, coalesce(session_us, 0) as session_us,
    coalesce(categorised_events, 0) as categorised_events, coalesce(top_category_events, 0) as top_category_events,
    coalesce({last_event_us}, {never}) as last_event_us,
    other_types,
    {windowed_or_nothing} as windowed
from wanted
left join totals using (customer_id)
left join sessions using (customer_id)
left join categories using (customer_id)
left join others using (customer_id)
{join_windowed}
"""
# The windowed features, from the same events.
WINDOWED = """,
windowed as (
    select customer_id, {aggregates} as windowed
    from (
        select customer_id, "timestamp"{values}
        from recent
        where {matching}
        offset 0  -- stops PostgreSQL from extracting a value from an event again for each aggregate
    ) event
    group by customer_id
)"""


def activity_sql(
    dialect: Mapping[str, str],
    *,
    wanted: str,
    of_wanted: str = "",
    features: Sequence[WindowedFeature] = (),
    bind: Bind,
) -> str:
    """Return the statement in a dialect.

    Its columns are customer_id, ACTIVITY_COLUMNS, `other_types`, a JSON object of the counts of the other event types
    or null, and `windowed`, which is null without features. The base activity counts the events from `oldest` on;
    windowed features may read them from `earliest` on. `wanted` is a query for the customers, `of_wanted` a further
    condition on the events, `bind` returns the placeholder of a parameter.
    """
    parts = {
        "in_window": "true",
        "metadata": "",
        "windowed": "",
        "join_windowed": "",
        "windowed_or_nothing": f"cast(null as {dialect['text']})",
    }
    if features:
        parts = {
            "in_window": f'"timestamp" >= {dialect["oldest"]}',
            "metadata": f", {dialect['json']}" if any(map(windowed_sql.reads_metadata, features)) else "",
            "windowed": WINDOWED.format(
                aggregates=windowed_sql.aggregates_sql(features, words=dialect, bind=bind),
                values=windowed_sql.value_columns_sql(features, words=dialect, bind=bind),
                matching=windowed_sql.any_match_sql(features, bind=bind),
            ),
            "join_windowed": "left join windowed using (customer_id)",
            "windowed_or_nothing": f"coalesce(windowed, {bind('nothing')})",
        }
    # NEVER, the smallest bigint, can't be a literal: SQL reads the digits before the sign, and they overflow.
    types = {
        "counts_of_first_types": COUNTS_OF_FIRST_TYPES,
        "counts_of_other_types": COUNTS_OF_OTHER_TYPES.format(in_window=parts["in_window"], **dialect),
        "counts_or_zero": COUNTS_OR_ZERO,
    }
    never = f"({NEVER + 1} - 1)"
    return ACTIVITY_SQL.format(wanted=wanted, of_wanted=of_wanted, never=never, **types, **parts, **dialect)


def earliest(as_of: datetime, *, window_days: int, features: Sequence[WindowedFeature]) -> datetime:
    """Return the moment from which events are read: `as_of` minus the widest window."""
    return as_of - max(timedelta(days=window_days), *(feature.window for feature in features), timedelta(0))
