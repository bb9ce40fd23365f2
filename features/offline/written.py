"""Values that are written, not computed: rows of many customers, merged over what holds at their moments."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import connection

# The rows are those of `source`: customer_id, place (their order), "timestamp" (null: now), features and metadata.
#
#     place  timestamp  features       held at that moment      merged              appended
#     1      1 May      {a: 1}         {b: 7} since 1 April     {b: 7, a: 1}        yes
#     2      3 May      {a: 1}         {b: 7} since 1 April     {b: 7, a: 1}        no: as before
#     3      9 May      {a: 2, c: 0}   {b: 8} since 6 May       {b: 8, a: 2, c: 0}  yes
#     4      9 May      {a: 3}         {b: 8} since 6 May       {b: 8, a: 3, c: 0}  yes, and 3 is not
#
# So the rows of one customer are merged in the order of their moments, as if they were written one by one: over the
# row that holds, and over one another where no other row holds between them. Of equal moments the last place wins.
COMPARED_IN_ORDER = """
merged as (
    select customer_id, moment, held_id, held_features,
        coalesce(held_features, '{}') || features_merged(features) over in_order as features,
        coalesce(held_metadata, '{}') || features_merged(metadata) over in_order as metadata,
        lead(moment) over in_order is not distinct from moment as is_overwritten
    from based
    window in_order as (partition by customer_id, held_id order by moment, place)
),
compared as (
    select customer_id, moment, features, metadata,
        lag(features, 1, held_features) over (partition by customer_id, held_id order by moment) as before
    from merged where not is_overwritten
)
"""
# The same where no customer has two rows, which is what most files and requests are like, in less time.
COMPARED_SINGLY = """
compared as (
    select customer_id, moment, held_features as before,
        case when held_id is null then features else held_features || features end as features,
        coalesce(held_metadata || metadata, held_metadata, metadata, '{}') as metadata
    from based
)
"""
APPEND_WRITTEN = """
with new as (
    select customer_id, place, least(coalesce("timestamp", %(now)s), %(now)s) as moment, features, metadata
    from {source}
),
based as (
    select new.*, held.id as held_id, held.features as held_features, held.metadata as held_metadata
    from new left join lateral (
        select id, features, metadata from features_customerfeature
        where customer_id = new.customer_id and feature_type = %(feature_type)s and version = %(version)s
            and "timestamp" <= new.moment
        order by "timestamp" desc, id desc
        limit 1
    ) held on true
),
{compared},
appended as (
    insert into features_customerfeature
        (customer_id, feature_type, version, "timestamp", recorded_at, features, metadata)
    select customer_id, %(feature_type)s, %(version)s, moment, clock_timestamp(), features, metadata
    from compared where before is null or before <> features
    order by customer_id, moment
    returning customer_id
)
select count(*), coalesce(array_agg(distinct customer_id), '{{}}') from appended
"""
SENT_ROWS = """
jsonb_to_recordset(%(rows)s::jsonb) as sent
    (customer_id text, place integer, "timestamp" timestamptz, features jsonb, metadata jsonb)
"""


class WrittenRow(NamedTuple):
    """Named values of a customer that hold from `timestamp` on; None is now."""

    customer_id: str
    features: Mapping[str, float]
    timestamp: datetime | None = None
    metadata: Mapping[str, Any] | None = None


class AppendedRows(NamedTuple):
    """Number of rows that history grew by, and their customers in the order of the ids."""

    number: int
    customer_ids: list[str]


def append_written(
    source: str, parameters: Mapping[str, Any], *, is_one_each: bool, feature_type: str, version: str, now: datetime
) -> AppendedRows:
    """Append the rows of `source` that change what holds at their moments. Return their number and customers.

    `source` is a relation with the columns of SENT_ROWS, `parameters` what it takes, and `is_one_each` whether it has
    one row a customer. Moments after `now` are taken as `now`. One statement; the caller holds the locks of all writers
    of these customers.
    """
    compared = COMPARED_SINGLY if is_one_each else COMPARED_IN_ORDER
    with connection.cursor() as cursor:
        cursor.execute(
            APPEND_WRITTEN.format(source=source, compared=compared),
            {**parameters, "feature_type": feature_type, "version": version, "now": now},
        )
        return AppendedRows(*cursor.fetchone())


def sent_rows(rows: Sequence[WrittenRow]) -> dict[str, str]:
    """Return the parameters of SENT_ROWS: one document, because to quote an array of documents costs more."""
    sent = [
        {
            "customer_id": row.customer_id,
            "place": place,
            "timestamp": row.timestamp,
            "features": row.features,
            "metadata": row.metadata,
        }
        for place, row in enumerate(rows)
    ]
    return {"rows": orjson.dumps(sent).decode()}
