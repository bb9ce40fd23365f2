"""Point-in-time reads for training: what was known of a customer at a moment, and nothing later."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection
from psycopg import sql

from features.formulas.view import FeatureView
from features.models import WRITTEN_BY_CLIENTS
from features.registry.contents import views_of
from features.registry.snapshot import registry_snapshot

# The row of an entity that holds at its moment is found by the index customer_feature_as_of. `|| '{{}}'`: what is
# stored compressed is unpacked once, and not for each name that is taken from it.
HELD = sql.SQL(
    """
select features || '{{}}' as features, "timestamp" from features_customerfeature
where customer_id = entity.customer_id and feature_type = {feature_type} and version = {version}
    and "timestamp" <= entity.moment and recorded_at <= coalesce({known_at}, timestamptz 'infinity')
order by "timestamp" desc, id desc
limit 1
"""
)
AS_OF_JOIN = sql.SQL(
    """
select entity.position, wanted.feature_type, held."timestamp", held.features
from unnest(%(customer_ids)s::text[], %(moments)s::timestamptz[]) with ordinality
    as entity (customer_id, moment, position)
cross join unnest(%(feature_types)s::text[], %(versions)s::text[]) as wanted (feature_type, version)
cross join lateral ({held}) held
"""
).format(
    held=HELD.format(
        feature_type=sql.Identifier("wanted", "feature_type"),
        version=sql.Identifier("wanted", "version"),
        known_at=sql.Placeholder("known_at"),
    )
)


@dataclass(frozen=True, slots=True)
class Entity:
    """A customer at a moment: one row of a training set."""

    customer_id: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class HeldRow:
    """The values of one version that held at a moment, and since when."""

    timestamp: datetime
    features: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """The values that held; `missing` gives the reason for each name that has its default because nothing held."""

    entity: Entity
    features: dict[str, float]
    missing: dict[str, str]


def as_of_join(
    entities: Sequence[Entity],
    *,
    names: Sequence[str],
    versions: Sequence[str] = (),
    known_at: datetime | None = None,
) -> list[TrainingRow]:
    """For each entity, in the order given, the last values with timestamp ≤ the entity's. One query.

    With `known_at`, only of what had been recorded by then: a later correction does not show. Raises UnknownError for
    a version that can't be read.
    """
    known = registry_snapshot.get()
    views = views_of(versions, known=known)
    types = {name: view.feature_type for view in views.values() for name in view.names if name in names}
    wanted = {feature_type: views[feature_type] for feature_type in set(types.values())}
    defaults = {name: known.definitions[name].default if name in types else 0.0 for name in names}
    held = rows_holding_at(entities, versions=wanted, known_at=known_at)
    return [
        training_row(entity, held=held.get(position, {}), defaults=defaults, types=types, views=wanted)
        for position, entity in enumerate(entities, start=1)
    ]


def written_lifetime(view: FeatureView) -> timedelta | None:
    """Return how long a value that a client wrote holds; None: until the next write, and for computed values."""
    if view.time_to_live is None or view.feature_type not in WRITTEN_BY_CLIENTS:
        return None
    return timedelta(seconds=view.time_to_live)


def rows_holding_at(
    entities: Sequence[Entity], *, versions: Mapping[str, FeatureView], known_at: datetime | None
) -> dict[int, dict[str, HeldRow]]:
    """Position (from 1) → feature type → the row that held then."""
    parameters: dict[str, Any] = {
        "customer_ids": [entity.customer_id for entity in entities],
        "moments": [entity.timestamp for entity in entities],
        "feature_types": list(versions),
        "versions": [view.number for view in versions.values()],
        "known_at": known_at,
    }
    held: defaultdict[int, dict[str, HeldRow]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(AS_OF_JOIN, parameters)
        for position, feature_type, timestamp, features in cursor.fetchall():
            held[position][feature_type] = HeldRow(timestamp, orjson.loads(features))
    return held


def training_row(
    entity: Entity,
    *,
    held: Mapping[str, HeldRow],
    defaults: Mapping[str, float],
    types: Mapping[str, str],
    views: Mapping[str, FeatureView],
) -> TrainingRow:
    """The values of the names in `defaults` among those that held; the default and a reason for the others."""
    expired = {
        feature_type
        for feature_type, row in held.items()
        if (lifetime := written_lifetime(views[feature_type])) is not None
        and entity.timestamp - row.timestamp > lifetime
    }
    values = {name: value for row in held.values() for name, value in row.features.items()}
    missing = {
        name: "unknown" if name not in types else "no_value" if name not in values else "expired"
        for name in defaults
        if name not in values or types.get(name) in expired
    }
    features = {name: default if name in missing else float(values[name]) for name, default in defaults.items()}
    return TrainingRow(entity=entity, features=features, missing=missing)
