"""Values as the fake server answers them: names, defaults, and the reason for each that is missing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from featurehub_client.testing.bodies import NamesOrSet
from featurehub_client.testing.refusals import Refused
from featurehub_client.testing.registry import VERSION
from featurehub_client.testing.store import Row, Store


def select_in(store: Store, body: NamesOrSet) -> list[str]:
    """Return the names that a body asks for."""
    if body.names is None and body.feature_set is None:
        raise Refused("Name the features, or give a feature set as `set`.", attr="names", code="required")
    return select(store, body.names, versions=body.versions, feature_set=body.feature_set)


def select(
    store: Store, names: list[str] | None, *, versions: Sequence[str] = (), feature_set: str | None = None
) -> list[str]:
    """Return the names to read. Raise Refused for a version or a set that can't be read."""
    if feature_set is not None:
        if names is not None or versions:
            detail = "A feature set has its names and versions: leave out `names` and `version`."
            raise Refused(detail, attr="set")
        return list(store.registry.find_set(feature_set)["names"])
    store.registry.check_versions(versions)
    if names is not None:
        return names
    return [name for feature_type in store.registry.types() for name in store.registry.names_of(feature_type)]


def rows_held(
    store: Store, customer_id: str, *, at: datetime | None = None, known_at: datetime | None = None
) -> list[Row]:
    """Return the rows of all types that hold."""
    found = [store.held(customer_id, kind, at=at, known_at=known_at) for kind in store.registry.types()]
    return [row for row in found if row is not None]


def given(store: Store, names: Sequence[str], held: Sequence[Row]) -> tuple[dict[str, float], dict[str, str]]:
    """Return the value of each name, or its default and the reason."""
    values = {name: value for row in held for name, value in row.features.items()}
    features, missing = {}, {}
    for name in names:
        feature = store.registry.features.get(name)
        if feature is None:
            missing[name] = "unknown"
        elif name not in values:
            missing[name] = "no_value"
        features[name] = values[name] if name not in missing else feature.default if feature else 0.0
    return features, missing


def versions_of(store: Store, names: Sequence[str]) -> dict[str, str]:
    """Return the version of each type that the names belong to."""
    known = [store.registry.features[name] for name in names if name in store.registry.features]
    return {each.feature_type: VERSION for each in known}


def values_of(store: Store, customer_id: str, names: Sequence[str], *, feature_set: str | None) -> dict[str, Any]:
    """Return the values of a customer as the API answers them."""
    held = rows_held(store, customer_id)
    features, missing = given(store, names, held)
    types = versions_of(store, [name for name in names if name not in missing])
    moments = [row.timestamp for row in held if row.feature_type in types]
    computed_at = min(moments, default=None)
    return {
        "customer_id": customer_id,
        **({} if feature_set is None else {"set": feature_set}),
        "versions": versions_of(store, names), "features": features, "missing": missing,
        "computed_at": computed_at, "source": "cache",
        "age_seconds": None if computed_at is None else (datetime.now(UTC) - computed_at).total_seconds(),
    }  # fmt: skip
