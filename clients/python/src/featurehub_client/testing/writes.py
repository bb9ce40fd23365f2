"""The endpoints of the fake server that write values and events, and erase customers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from featurehub_client.sent import NewEvent
from featurehub_client.testing import bodies
from featurehub_client.testing.asked import Asked
from featurehub_client.testing.bodies import check_customer_id, check_timestamp, decoded
from featurehub_client.testing.refusals import Refused, listed
from featurehub_client.testing.registry import VERSION, WRITTEN_BY_CLIENTS
from featurehub_client.testing.store import Store


def write_features(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `PATCH customers/{customer_id}/features/`."""
    body = decoded(asked.request.content, bodies.PatchBody)
    check_timestamp(body.timestamp)
    bodies.check_metadata(body.metadata or {})
    check_writable(store, body.feature_type, body.version)
    check_values(store, body.features, feature_type=body.feature_type)
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
    check_writable(store, body.feature_type, body.version)
    for place, row in enumerate(body.rows):
        try:
            check_customer_id(row.customer_id)
            check_timestamp(row.timestamp)
            check_values(store, row.features, feature_type=body.feature_type)
            store.refuse_erased(row.customer_id)
        except Refused as error:
            raise error.below(f"rows.{place}") from None
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


def checked_events(store: Store, events: Sequence[bodies.EventBody]) -> list[NewEvent]:
    """Return the events as they are stored. Raise Refused, with `attr` `events.N.…`, for a wrong one."""
    checked = []
    for place, event in enumerate(events):
        try:
            store.registry.check_event_type(event.event_type)
            checked.append(event.checked())
        except Refused as error:
            raise error.below(f"events.{place}") from None
    return checked


def check_writable(store: Store, feature_type: str, version: str) -> None:
    """Raise Refused for a type or a version that clients can't write."""
    if feature_type not in WRITTEN_BY_CLIENTS:
        is_known = feature_type in store.registry.types()
        why = f"{feature_type} values are computed" if is_known else f"There is no feature type {feature_type!r}"
        raise Refused(f"{why}; clients write {' and '.join(WRITTEN_BY_CLIENTS)}.", attr="feature_type")
    store.registry.check_version(feature_type, version)


def check_values(store: Store, features: Mapping[str, float], *, feature_type: str) -> None:
    """Raise Refused for a name that the type does not have, and for a value out of range."""
    names = store.registry.names_of(feature_type)
    for name, value in features.items():
        if name not in names:
            detail = f"{name} is not registered in {feature_type}:{VERSION}, which has {listed(names)}."
            raise Refused(detail, attr=f"features.{name}")
        store.registry.features[name].check(value)
