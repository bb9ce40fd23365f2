"""The PostgreSQL engine: the activity of many customers in one statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from django.db import connection

from features.engines import windowed_sql
from features.engines.activity_sql import ACTIVITY_COLUMNS, FIRST_TYPES, activity_sql, earliest
from features.formulas.activity import NEVER, Activity, Windowed
from features.formulas.windowed import WindowedFeature

POSTGRES_DIALECT = {
    "events": "events_event",
    "earliest": "%(earliest)s",
    "oldest": "%(oldest)s",
    "as_of": "%(as_of)s",
    "double": "float8",
    "text": "text",
    "length": 'max("timestamp") - min("timestamp")',
    "sum_of_lengths": "(extract(epoch from sum(length)) * 1000000)::bigint",
    "last_purchase_us": "(extract(epoch from last_purchase) * 1000000)::bigint",
    "first_event_us": "(extract(epoch from first_event) * 1000000)::bigint",
    "last_event_us": "(extract(epoch from last_event) * 1000000)::bigint",
    # The statement of a first event of a type marks the type, so this sees every type that the events are of.
    "has_other_types": f"""exists (
            select from events_eventtype where used_at is not null and name not in ({FIRST_TYPES}))""",
    "counts_as_json": "json_object_agg(event_type, events)::text",
    # For windowed features.
    "json": "metadata",
    # Sums of numerics are exact. PostgreSQL refuses to cast one to a double that is closer to zero than this.
    "nearest": """cast(case when abs({number}) > 2.5e-324
        then least(greatest({number}, -1.7976931348623157e308), 1.7976931348623157e308) else 0 end as float8)""",
    "sum": "sum({value})",
    "mean": "avg({value})",
    "last": """(max(case when {value} is not null then array[extract(epoch from "timestamp"), {value}] end))[2]""",
    "no_number": "null::numeric",
    "number": "case jsonb_typeof(metadata -> {key}) when 'number' then (metadata -> {key})::numeric end",
    "identity": "case when jsonb_typeof(metadata -> {key}) in ('string', 'number') then metadata -> {key} end",
    "age_days": """(extract(epoch from %(as_of)s - "timestamp")::float8 / 86400)""",
    "micros": "(extract(epoch from {moment}) * 1000000)::bigint",
    "item": "{name}, json_build_array({value}, {first}, {last})",
    "pack": "json_build_object({items})::text",
}


def bind(name: str) -> str:
    """Return the placeholder of a parameter.

    Texts are cast, because PostgreSQL can't infer their type everywhere; moments have a type of their own.
    """
    return f"%({name})s" if name.endswith("oldest") else f"%({name})s::text"


@lru_cache(maxsize=16)
def activity_sql_of(features: tuple[WindowedFeature, ...]) -> str:
    """Return the statement for the customers in the parameter `customer_ids`."""
    return activity_sql(
        {**POSTGRES_DIALECT, "materialized": "materialized"},
        wanted="select unnest(%(customer_ids)s::text[]) as customer_id",
        of_wanted="and customer_id = any(%(customer_ids)s::text[])",
        features=features,
        bind=bind,
    )


@lru_cache(maxsize=16)
def activity_sql_of_all(features: tuple[WindowedFeature, ...] = ()) -> str:
    """Return the statement for every customer.

    It reads the events several times instead of materializing them once, so that PostgreSQL scans them in parallel.
    """
    return activity_sql(
        {**POSTGRES_DIALECT, "materialized": "not materialized"},
        wanted="select customer_id from features_customer",
        features=features,
        bind=bind,
    )


def aggregate(
    customer_ids: Sequence[str], *, as_of: datetime, window_days: int, features: Sequence[WindowedFeature] = ()
) -> Activity:
    """Return the activity of these customers at `as_of`, in no particular order."""
    asked = shared_parameters(as_of, window_days=window_days, features=features)
    with connection.cursor() as cursor:
        cursor.execute(activity_sql_of(tuple(features)), {**asked, "customer_ids": list(customer_ids)})
        return columns(cursor.fetchall())


def aggregate_into(table: str, *, as_of: datetime, window_days: int, features: Sequence[WindowedFeature] = ()) -> None:
    """Create a table with the activity of every customer.

    A table, because PostgreSQL does not run the query of a cursor in parallel.
    """
    with connection.cursor() as cursor:
        into = f"create table {connection.ops.quote_name(table)} as {activity_sql_of_all(tuple(features))}"
        cursor.execute(into, shared_parameters(as_of, window_days=window_days, features=features))


def shared_parameters(as_of: datetime, *, window_days: int, features: Sequence[WindowedFeature] = ()) -> dict[str, Any]:
    """Return the parameters that both statements share.

    30 days are 30 × 24 h, whatever the time zone of the session.
    """
    return {
        "as_of": as_of,
        "oldest": as_of - timedelta(days=window_days),
        "earliest": earliest(as_of, window_days=window_days, features=features),
        **windowed_sql.parameters(features, as_of=as_of),
    }


def columns(rows: Sequence[tuple[Any, ...]]) -> Activity:
    """Return rows of (customer_id, *ACTIVITY_COLUMNS, other_types, windowed) as columns."""
    customer_ids, *values, other_types, windowed = (
        zip(*rows, strict=True) if rows else [() for _ in range(len(ACTIVITY_COLUMNS) + 3)]
    )
    activity = dict(zip(ACTIVITY_COLUMNS, values, strict=True))
    others, of_features = parsed_counts(other_types), windowed_columns(windowed)
    return Activity.from_columns(list(customer_ids), activity, others=others, windowed=of_features)


def parsed_counts(texts: Iterable[str | None]) -> list[dict[str, int] | None]:
    """Return the column `other_types`: of each customer event type → count, None where there is none."""
    return [None if text is None else orjson.loads(text) for text in texts]


def windowed_columns(texts: Sequence[str | None]) -> dict[str, Windowed]:
    """Return the column `windowed`, lists of objects that all have the same names, as columns by name."""
    rows = [merged(orjson.loads(text)) for text in texts if text is not None]
    return {
        name: Windowed(
            value=np.array([row[name][0] for row in rows], dtype=np.float64),
            first_us=np.array([NEVER if row[name][1] is None else row[name][1] for row in rows], dtype=np.int64),
            last_us=np.array([NEVER if row[name][2] is None else row[name][2] for row in rows], dtype=np.int64),
        )
        for name in (rows[0] if rows else ())
    }


def merged(objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the members of all objects in one; usually there is one."""
    return objects[0] if len(objects) == 1 else {name: values for part in objects for name, values in part.items()}
