"""Point-in-time rows for training: for each customer and moment, the values that held then."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from featurehub.lib.batched import batched
from featurehub.lib.clock import nearest_in_utc
from features.formulas.view import FeatureView
from features.offline.as_of import Entity, RowHolding, rows_holding_at
from features.registry.contents import Registry, resolve_pins
from features.registry.feature_sets import Selection, select_features
from features.registry.snapshot import registry_snapshot
from features.serving.render import NO_VALUE, NOT_COMPUTED, missing_reasons

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
    names: Sequence[str] | None = None,
    versions: Sequence[str] = (),
    feature_set: str | None = None,
    known_at: datetime | None = None,
) -> list[TrainingRow]:
    """Return for each entity, in the order given, the last values with timestamp ≤ the entity's.

    One query for each ENTITIES_PER_QUERY: one for 10,000 wide rows would take longer than a request may wait.
    With `known_at`, only values that had been recorded by then. `feature_set` (`churn_model:3`) takes the place of
    names and versions; without either, all names are read. Raises UnknownError for a version or set that can't be read.
    """
    known = registry_snapshot.get()
    chosen = select_features(Selection.of(names, versions=versions, feature_set=feature_set), known=known)
    views = resolve_pins(chosen.pins, known=known)
    names = chosen.names or tuple(name for view in views.values() for name in view.names)
    registered = {name: view.feature_type for view in views.values() for name in view.names if name in names}
    wanted = {feature_type: views[feature_type] for feature_type in set(registered.values())}
    defaults = {name: known.definitions[name].default if name in registered else 0.0 for name in names}
    limited = {feature_type: view for feature_type, view in wanted.items() if known.spans.get(view.key)}
    rows: list[TrainingRow] = []
    for part in batched(entities, ENTITIES_PER_QUERY):
        held = rows_holding_at(part, versions=wanted, known_at=known_at)
        for position, entity in enumerate(part, start=1):
            not_computed = types_not_computed(entity, versions=limited, known=known, known_at=known_at)
            rows.append(
                training_row(
                    entity,
                    held=without_days_to_come(held.get(position, {}), at=entity, versions=limited, known=known),
                    defaults=defaults,
                    registered=registered,
                    not_computed=not_computed,
                )
            )
    return rows


def types_not_computed(
    entity: Entity, *, versions: Mapping[str, FeatureView], known: Registry, known_at: datetime | None
) -> set[str]:
    """Return the types whose versions had nobody's values at the entity's moment. In memory: no query is made."""
    if not versions:
        return set()
    at, by = nearest_in_utc(entity.timestamp), known_at and nearest_in_utc(known_at)
    return {name for name, view in versions.items() if not known.is_computed(view, at=at, known_at=by)}


def without_days_to_come(
    held: Mapping[str, RowHolding], *, at: Entity, versions: Mapping[str, FeatureView], known: Registry
) -> Mapping[str, RowHolding]:
    """Return the rows that held, without those of a backfill that is under way: they may be of an earlier day."""
    if not versions:
        return held
    moment = nearest_in_utc(at.timestamp)
    hidden = {name for name, view in versions.items() if known.is_being_backfilled(view, at=moment)}
    return {name: row for name, row in held.items() if name not in hidden} if hidden else held


def training_row(
    entity: Entity,
    *,
    held: Mapping[str, RowHolding],
    defaults: Mapping[str, float],
    registered: Mapping[str, str],
    not_computed: Collection[str],
) -> TrainingRow:
    """Return the values of the names in `defaults` that held; the default and a reason for the others.

    `not_computed` are the types of which nobody has values at the moment.
    """
    values = {name: value for row in held.values() for name, value in row.features.items()}
    expired = {feature_type for feature_type, row in held.items() if row.has_expired}
    missing = missing_reasons(defaults, registered=registered, present=values, expired=expired)
    if not_computed:
        lacking = {name for name, reason in missing.items() if reason == NO_VALUE and registered[name] in not_computed}
        missing |= dict.fromkeys(lacking, NOT_COMPUTED)
    features = {name: default if name in missing else float(values[name]) for name, default in defaults.items()}
    return TrainingRow(entity=entity, features=features, missing=missing)
