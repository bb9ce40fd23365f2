"""Point-in-time rows for training: for each customer and moment, the values that held then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from featurehub.lib.batched import batched
from features.offline.as_of import Entity, RowHolding, rows_holding_at
from features.registry.contents import resolve_pins
from features.registry.snapshot import registry_snapshot
from features.serving.render import missing_reasons

ENTITIES_PER_QUERY = 1_000


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """The values that held for one entity; `missing` gives the reason for each name that has its default."""

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
    """Return for each entity, in the order given, the last values with timestamp ≤ the entity's.

    One query for each ENTITIES_PER_QUERY: one for 10,000 wide rows would take longer than a request may wait.
    With `known_at`, only values that had been recorded by then. Raises UnknownError for a version that can't be read.
    """
    known = registry_snapshot.get()
    views = resolve_pins(versions, known=known)
    registered = {name: view.feature_type for view in views.values() for name in view.names if name in names}
    wanted = {feature_type: views[feature_type] for feature_type in set(registered.values())}
    defaults = {name: known.definitions[name].default if name in registered else 0.0 for name in names}
    rows: list[TrainingRow] = []
    for part in batched(entities, ENTITIES_PER_QUERY):
        held = rows_holding_at(part, versions=wanted, known_at=known_at)
        rows += [
            training_row(entity, held=held.get(position, {}), defaults=defaults, registered=registered)
            for position, entity in enumerate(part, start=1)
        ]
    return rows


def training_row(
    entity: Entity, *, held: Mapping[str, RowHolding], defaults: Mapping[str, float], registered: Mapping[str, str]
) -> TrainingRow:
    """Return the values of the names in `defaults` that held; the default and a reason for the others."""
    values = {name: value for row in held.values() for name, value in row.features.items()}
    expired = {feature_type for feature_type, row in held.items() if row.has_expired}
    missing = missing_reasons(defaults, registered=registered, present=values, expired=expired)
    features = {name: default if name in missing else float(values[name]) for name, default in defaults.items()}
    return TrainingRow(entity=entity, features=features, missing=missing)
