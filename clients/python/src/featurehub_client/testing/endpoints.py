"""The endpoints of the fake server: a function for each operation, of a request and the store."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from featurehub_client.testing import bodies
from featurehub_client.testing.bodies import check_customer_id, check_timestamp, decoded
from featurehub_client.testing.formulas import (
    behavioral_features,
    contributions,
    counts_of,
    derived_features,
    in_window,
)
from featurehub_client.testing.lists import customer_page, parse_limit
from featurehub_client.testing.refusals import Refused, listed, not_found
from featurehub_client.testing.registry import BEHAVIORAL, VERSION, WRITTEN_BY_CLIENTS
from featurehub_client.testing.store import Row, Store

SCORE = "engagement_score"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = re.compile(r"(older|newer)-(-?\d{1,18})-(\d{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, and the parts of its path."""

    request: httpx.Request
    parts: Mapping[str, str]

    @property
    def customer_id(self) -> str:
        """The customer in the path. Raise Refused for an id that is not valid."""
        check_customer_id(self.parts["customer_id"])
        return self.parts["customer_id"]

    def parameter(self, name: str) -> str | None:
        """Return a query parameter, None where it is absent."""
        return self.request.url.params.get(name)

    def moment(self, name: str) -> datetime | None:
        """Return a query parameter as a moment. Raise Refused where it is none."""
        text = self.parameter(name)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise Refused("It must be a moment in ISO 8601 with an offset, such as 2026-01-31T12:00:00Z.", attr=name)
        return moment

    def page_at(self, cursor: str | None) -> str | None:
        """Return the address of another page."""
        return None if cursor is None else str(self.request.url.copy_set_param("cursor", cursor))


# --- Reads ------------------------------------------------------------------------------------------------------------


def read_features(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/{customer_id}/features/`."""
    text = asked.parameter("names")
    names = None if text is None else [name for name in text.split(",") if name]
    if names == []:
        raise Refused("Name at least one feature, or omit `names` to read all of them.", attr="names")
    versions = asked.request.url.params.get_list("version")
    selected = select(store, names, versions=versions, feature_set=asked.parameter("set"))
    return values_of(store, asked.customer_id, selected, feature_set=asked.parameter("set"))


def read_batch(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `POST features/batch/`."""
    body = decoded(asked.request.content, bodies.BatchBody)
    for place, customer_id in enumerate(body.customer_ids):
        check_customer_id(customer_id, attr=f"customer_ids.{place}")
    selected = select_in(store, body)
    return {"results": [values_of(store, each, selected, feature_set=body.feature_set) for each in body.customer_ids]}


def read_as_of(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `POST features/as-of/`."""
    body = decoded(asked.request.content, bodies.AsOfBody)
    for place, entity in enumerate(body.entities):
        check_customer_id(entity.customer_id, attr=f"entities.{place}.customer_id")
    names = select_in(store, body)
    rows = []
    for entity in body.entities:
        held = rows_held(store, entity.customer_id, at=entity.timestamp, known_at=body.known_at)
        features, missing = given(store, names, held)
        rows.append(
            {
                "customer_id": entity.customer_id, "timestamp": entity.timestamp, "features": features,
                "missing": missing,
            }
        )  # fmt: skip
    of_set = {} if body.feature_set is None else {"set": body.feature_set, "versions": versions_of(store, names)}
    return {**of_set, "results": rows}


def read_vector(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/{customer_id}/vector/`."""
    values = values_of(store, asked.customer_id, select(store, None), feature_set=None)
    held = rows_held(store, asked.customer_id)
    in_order = sorted(held, key=lambda row: row.feature_type == BEHAVIORAL)
    return {
        "customer_id": asked.customer_id, "features": values["features"], "timestamp": values["computed_at"],
        "feature_type": "vector", "version": VERSION, "versions": values["versions"], "missing": values["missing"],
        "source": "cache", "metadata": {key: value for row in in_order for key, value in row.metadata.items()},
    }  # fmt: skip


def read_history(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/{customer_id}/features/{name}/history/`."""
    name = asked.parts["name"]
    feature = store.registry.features.get(name)
    if feature is None:
        raise not_found(f"There is no feature {name}; GET /api/v1/definitions/ lists them.")
    version = asked.parameter("version")
    if version is not None:
        store.registry.check_version(feature.feature_type, version.removeprefix(f"{feature.feature_type}:"))
    limit = parse_limit(asked.parameter("limit"))
    since, until = asked.moment("since"), asked.moment("until")
    rows = [
        row
        for row in store.rows_of(asked.customer_id, feature.feature_type)
        if name in row.features
        and (since is None or row.timestamp >= since)
        and (until is None or row.timestamp < until)
    ]
    first, last = bounds_of(rows, cursor=asked.parameter("cursor"), limit=limit)
    page = rows[first:last]
    older = f"older-{key_of(page[-1])}" if page and last < len(rows) else None
    newer = f"newer-{key_of(page[0])}" if page and first else None
    results = [row.as_json(is_recorded=True) for row in page]
    return {"next": asked.page_at(older), "previous": asked.page_at(newer), "results": results}


def bounds_of(rows: Sequence[Row], *, cursor: str | None, limit: int) -> tuple[int, int]:
    """Return the places of the first row of the page and of that after its last one; rows are the newest first."""
    if cursor is None:
        return 0, limit
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise Refused("The cursor is not valid: use those in `next` and `previous` unchanged.", attr="cursor")
    key = (EPOCH + timedelta(microseconds=int(match[2])), int(match[3]))
    keys = [(row.timestamp, row.number) for row in rows]
    if match[1] == "older":
        first = sum(each >= key for each in keys)
        return first, first + limit
    last = sum(each > key for each in keys)
    return max(last - limit, 0), last


def key_of(row: Row) -> str:
    """Return a row's place in the history, as cursors have it."""
    return f"{(row.timestamp - EPOCH) // timedelta(microseconds=1)}-{row.number}"


def read_customers(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/`."""
    page, further = customer_page(
        store,
        order=asked.parameter("order") or "customer_id",
        where=asked.request.url.params.get_list("where"),
        limit=parse_limit(asked.parameter("limit")),
        cursor=asked.parameter("cursor"),
    )
    return {**page, "next": asked.page_at(further)}


# --- Scores -----------------------------------------------------------------------------------------------------------


def read_explanation(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/{customer_id}/explanation/`."""
    number = asked.parameter("weights")
    if number not in (None, "1"):
        raise not_found(f"There is no weight set {number}.", attr="weights")
    row = store.held(asked.customer_id, BEHAVIORAL)
    if row is None or "activity" not in row.metadata:
        return {
            "customer_id": asked.customer_id, "weight_set": None, "computed_at": row and row.timestamp,
            "contributions": [], "unclamped_score": 0.0, SCORE: row.features.get(SCORE, 0.0) if row else 0.0,
        }  # fmt: skip
    parts = contributions(row.metadata["activity"], weights=store.registry.weights, names=store.registry.event_types)
    return {
        "customer_id": asked.customer_id, "weight_set": 1, "computed_at": row.timestamp, **parts,
        SCORE: min(parts["unclamped_score"], 1.0),
    }  # fmt: skip


def compute(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `POST features/compute/`."""
    body = decoded(asked.request.content, bodies.ComputeBody)
    events = checked_events(store, body.events)
    customers = sorted({event.customer_id for event in events})
    if len(customers) > 1:
        raise Refused(f"These are events of {len(customers)} customers: send one's.", attr="events")
    as_of = body.as_of or datetime.now(UTC)
    changes = {
        name: {key: value for key, value in (("weight", each.weight), ("norm", each.norm)) if value is not None}
        for name, each in body.weights.items()
    }
    weights = store.registry.weights.with_changes(changes, monetary_norm=body.monetary_norm)
    features = behavioral_features(events, weights=weights, as_of=as_of)
    counts = counts_of(in_window(events, as_of=as_of))
    is_changed = bool(body.weights) or body.monetary_norm is not None
    return {
        "customer_id": customers[0] if customers else "", "features": features, "timestamp": as_of,
        "feature_type": BEHAVIORAL, "version": VERSION, "derived": derived_features(features),
        "metadata": {
            "weight_set": None if is_changed else 1, "activity": dict(counts),
            **contributions(counts, weights=weights, names=store.registry.event_types),
        },
    }  # fmt: skip


# --- Writes -----------------------------------------------------------------------------------------------------------


def write_features(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `PATCH customers/{customer_id}/features/`."""
    body = decoded(asked.request.content, bodies.PatchBody)
    check_timestamp(body.timestamp)
    bodies.check_metadata(body.metadata or {})
    check_written(store, body.features, feature_type=body.feature_type, version=body.version)
    row, is_new = store.write(
        asked.customer_id,
        body.features,
        feature_type=body.feature_type,
        metadata=body.metadata,
        timestamp=body.timestamp,
    )
    now = datetime.now(UTC)
    return row.as_json() | ({} if is_new else {"timestamp": min(body.timestamp or now, now)})


def write_batch(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `PATCH features/batch/`: all rows are checked before one is written."""
    body = decoded(asked.request.content, bodies.BatchPatchBody)
    for place, row in enumerate(body.rows):
        try:
            check_customer_id(row.customer_id)
            check_timestamp(row.timestamp)
            check_written(store, row.features, feature_type=body.feature_type, version=body.version)
            if row.customer_id in store.erased:
                store.write(row.customer_id, row.features, feature_type=body.feature_type)
        except Refused as error:
            raise error.below(f"rows.{place}") if error.attr not in ("feature_type", "version") else error from None
    appended = 0
    for row in body.rows:
        _, is_new = store.write(row.customer_id, row.features, feature_type=body.feature_type, timestamp=row.timestamp)
        appended += is_new
    return {"accepted": len(body.rows), "appended": appended}


def store_events(store: Store, asked: Asked) -> tuple[int, dict[str, Any]]:
    """Answer `POST events/`."""
    body = decoded(asked.request.content, bodies.EventsBody)
    return 201, store.store(checked_events(store, body.events))


def erase(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `DELETE customers/{customer_id}/`."""
    return store.erase(asked.customer_id)


def checked_events(store: Store, events: Sequence[bodies.EventBody]) -> list[Any]:
    """Return the events as they are stored. Raise Refused, with `attr` `events.N.…`, for a wrong one."""
    checked = []
    for place, event in enumerate(events):
        try:
            store.registry.check_event_type(event.event_type)
            checked.append(event.checked())
        except Refused as error:
            raise error.below(f"events.{place}") from None
    return checked


def check_written(store: Store, features: Mapping[str, float], *, feature_type: str, version: str) -> None:
    """Raise Refused for a type, a version, a name or a value that clients can't write."""
    if feature_type not in WRITTEN_BY_CLIENTS:
        is_known = feature_type in store.registry.types()
        why = f"{feature_type} values are computed" if is_known else f"There is no feature type {feature_type!r}"
        raise Refused(f"{why}; clients write {' and '.join(WRITTEN_BY_CLIENTS)}.", attr="feature_type")
    store.registry.check_version(feature_type, version)
    names = store.registry.names_of(feature_type)
    for name, value in features.items():
        if name not in names:
            detail = f"{name} is not registered in {feature_type}:{version}, which has {listed(names)}."
            raise Refused(detail, attr=f"features.{name}")
        store.registry.features[name].check(value)


# --- The registry -----------------------------------------------------------------------------------------------------


def read_definitions(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET definitions/`."""
    return {"sampled_customers": 0, "results": [each.as_json() for each in store.registry.features.values()]}


def read_weights(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET weights/`."""
    return store.registry.weight_sets()


def read_sets(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET feature-sets/`."""
    return {"results": store.registry.sets_of(asked.parameter("name"))}


def read_set(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET feature-sets/{feature_set}/`."""
    return store.registry.find_set(asked.parts["feature_set"])


def make_set(store: Store, asked: Asked) -> tuple[int, dict[str, Any]]:
    """Answer `POST feature-sets/`."""
    body = decoded(asked.request.content, bodies.FeatureSetBody)
    made, is_new = store.registry.make_set(body.name, body.names, reason=body.reason)
    return 201 if is_new else 200, made


# --- Values -----------------------------------------------------------------------------------------------------------


def select_in(store: Store, body: bodies.NamesOrSet) -> list[str]:
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


Endpoint = Callable[[Store, Asked], "dict[str, Any] | tuple[int, dict[str, Any]]"]
ID, NAME = r"(?P<customer_id>[^/]*)", r"(?P<name>[^/]*)"
# (method, path, the scope that it needs, the endpoint)
ENDPOINTS: Sequence[tuple[str, str, str, Endpoint]] = (
    ("POST", "events/", "ingest", store_events),
    ("GET", "customers/", "read", read_customers),
    ("GET", f"customers/{ID}/features/", "read", read_features),
    ("PATCH", f"customers/{ID}/features/", "write", write_features),
    ("GET", f"customers/{ID}/vector/", "read", read_vector),
    ("GET", f"customers/{ID}/explanation/", "read", read_explanation),
    ("GET", f"customers/{ID}/features/{NAME}/history/", "read", read_history),
    ("DELETE", f"customers/{ID}/", "write", erase),
    ("POST", "features/batch/", "read", read_batch),
    ("PATCH", "features/batch/", "write", write_batch),
    ("POST", "features/as-of/", "read", read_as_of),
    ("POST", "features/compute/", "read", compute),
    ("GET", "definitions/", "read", read_definitions),
    ("GET", "feature-sets/", "read", read_sets),
    ("POST", "feature-sets/", "write", make_set),
    ("GET", r"feature-sets/(?P<feature_set>[^/]*)/", "read", read_set),
    ("GET", "weights/", "read", read_weights),
)
