"""The endpoints of the fake server, those of scores and of the registry among them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from featurehub_client.testing import bodies
from featurehub_client.testing.asked import Asked
from featurehub_client.testing.bodies import decoded
from featurehub_client.testing.formulas import (
    behavioral_features,
    contributions,
    counts_of,
    derived_features,
    in_window,
)
from featurehub_client.testing.reads import (
    read_as_of,
    read_batch,
    read_customers,
    read_features,
    read_history,
    read_vector,
)
from featurehub_client.testing.refusals import Refused, not_found
from featurehub_client.testing.registry import BEHAVIORAL, VERSION
from featurehub_client.testing.store import Store
from featurehub_client.testing.writes import checked_events, erase, store_events, write_batch, write_features

SCORE = "engagement_score"


# --- Scores -----------------------------------------------------------------------------------------------------------


def read_explanation(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/{customer_id}/explanation/`."""
    number = asked.parameter("weights")
    if number not in (None, "1"):
        raise not_found(f"There is no weight set {number}.")
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


# --- All of them ------------------------------------------------------------------------------------------------------

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
