"""Point-in-time reads of the history: the values of a customer at a moment, and nothing later."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection
from psycopg import sql

from featurehub.lib.clock import nearest_in_utc
from features.formulas.view import FeatureView
from features.models import WRITTEN_BY_CLIENTS

# The row of one version that holds at an entity's moment, found by the index customer_feature_as_of. It has expired
# where it is older than `lifetime`. `|| '{{}}'` decompresses the document once instead of once for each name that is
# taken from it.
ROW_HOLDING = sql.SQL(
    """
select features || '{{}}' as features, coalesce("timestamp" < entity.moment - {lifetime}, false) as has_expired
from features_customerfeature
where customer_id = entity.customer_id and feature_type = {feature_type} and version = {version}
    and "timestamp" <= entity.moment and recorded_at <= coalesce({known_at}, timestamptz 'infinity')
order by "timestamp" desc, id desc
limit 1
"""
)
AS_OF_JOIN = sql.SQL(
    """
select entity.position, wanted.feature_type, held.features, held.has_expired
from unnest(%(customer_ids)s::text[], %(moments)s::timestamptz[]) with ordinality
    as entity (customer_id, moment, position)
cross join unnest(%(feature_types)s::text[], %(versions)s::text[], %(lifetimes)s::interval[])
    as wanted (feature_type, version, lifetime)
cross join lateral ({held}) held
"""
).format(
    held=ROW_HOLDING.format(
        feature_type=sql.Identifier("wanted", "feature_type"),
        version=sql.Identifier("wanted", "version"),
        lifetime=sql.Identifier("wanted", "lifetime"),
        known_at=sql.Placeholder("known_at"),
    )
)


@dataclass(frozen=True, slots=True)
class Entity:
    """A customer at a moment: one row of a training set."""

    customer_id: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class RowHolding:
    """The values of one version that held at a moment.

    `has_expired`: they were older than the version's time to live.
    """

    features: Mapping[str, float]
    has_expired: bool


def written_lifetime(view: FeatureView) -> timedelta | None:
    """Return how long a value that a client wrote holds.

    None where it holds until the next write, and for computed values.
    """
    if view.time_to_live is None or view.feature_type not in WRITTEN_BY_CLIENTS:
        return None
    return timedelta(seconds=view.time_to_live)


def rows_holding_at(
    entities: Sequence[Entity], *, versions: Mapping[str, FeatureView], known_at: datetime | None
) -> dict[int, dict[str, RowHolding]]:
    """Return position (from 1) → feature type → the row that held at the entity's moment, in one query.

    With `known_at`, only rows that had been recorded by then are read, so that a later correction does not show.
    """
    parameters: dict[str, Any] = {
        "customer_ids": [entity.customer_id for entity in entities],
        "moments": [nearest_in_utc(entity.timestamp) for entity in entities],
        "feature_types": list(versions),
        "versions": [view.number for view in versions.values()],
        "lifetimes": [written_lifetime(view) for view in versions.values()],
        "known_at": known_at and nearest_in_utc(known_at),
    }
    held: defaultdict[int, dict[str, RowHolding]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(AS_OF_JOIN, parameters)
        for position, feature_type, features, has_expired in cursor.fetchall():
            held[position][feature_type] = RowHolding(orjson.loads(features), has_expired)
    return held
