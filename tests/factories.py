"""Factories: small objects with defaults for everything that a test does not name."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from django_redis import get_redis_connection

from events.ingest import Ingested, ingest
from events.models import Event, EventType
from events.registered_types import event_types
from events.registration import register_event_type
from events.validation import NewEvent
from featurehub.access.authentication import clients
from featurehub.access.models import Scope, create_api_key
from features.formulas.behavioral import Weights
from features.lifecycle import drafts
from features.lifecycle import version_steps as versions_lifecycle
from features.materialization import refresh
from features.models import (
    CustomerFeature,
    EventHour,
    FeatureDefinition,
    FeatureProfile,
    FeatureVersion,
    ProfiledDay,
    WeightSet,
)
from features.monitoring import profiles
from features.registry.snapshot import registry_snapshot
from features.registry.weight_sets import active_set
from features.registry.window_text import parse_window
from tests.api_client import ApiClient

numbers = count(1)


def ago(**duration: float) -> datetime:
    """Return the moment that is `duration` (such as days=3) before now."""
    return datetime.now(UTC) - timedelta(**duration)


def make_client(*scopes: str) -> ApiClient:
    """Return a client with a new key of these scopes; the key is valid at once."""
    clients.forget()
    _, key = create_api_key("test", scopes=[str(scope) for scope in scopes or (Scope.READ,)])
    return ApiClient(key=key)


def make_event(**fields: Any) -> dict[str, Any]:
    """Return an event as a client sends it: a page view of customer c1 a minute ago, with an id of its own."""
    event = {
        "event_id": f"e{next(numbers)}",
        "customer_id": "c1",
        "event_type": "page_view",
        "timestamp": ago(minutes=1),
        **fields,
    }
    return {name: value for name, value in event.items() if value is not None}


def make_purchase(*, amount: float = 10.0, category: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a purchase as a client sends it."""
    metadata = {"amount": amount, **({} if category is None else {"category": category})}
    return make_event(event_type="purchase", metadata=metadata, **fields)


def make_event_type(name: str = "trial_started", **fields: str) -> EventType:
    """Register an event type, which this process knows at once, also in a test without commits."""
    row = register_event_type(name, **fields)
    event_types.forget()
    return row


def new_event(**fields: Any) -> NewEvent:
    """Return an event as it is after parsing."""
    return msgspec.convert(make_event(**fields), NewEvent)


def store_events(*events: dict[str, Any]) -> Ingested:
    """Ingest events without HTTP and without validation."""
    return ingest(msgspec.convert(events, list[NewEvent]))


def make_customer(customer_id: str = "c1", *, events: list[dict[str, Any]] | None = None, **counts: int) -> str:
    """Store, compute and publish a customer with `events`, and with as many events of each type as `counts` says.

    For example make_customer("c1", page_view=3, purchase=1). Returns the id.
    """
    made = [
        make_event(customer_id=customer_id, event_type=event_type)
        for event_type, number in counts.items()
        for _ in range(number)
    ]
    store_events(*({**event, "customer_id": customer_id} for event in events or []), *made)
    refresh.refresh_dirty()
    return customer_id


def make_weight_set(*, weights: dict[str, tuple[float, float]] | None = None, **fields: Any) -> WeightSet:
    """Make a draft with the active weights, some of them replaced by `weights`: event type → (weight, norm).

    The draft is for behavioral 1.0 unless `version` is given.
    """
    active = active_set(fields["version"].number if "version" in fields else "1.0")
    draft = WeightSet.objects.create(
        **{"version": active.version, "name": "Draft", "reason": "A test", "monetary_norm": 1000.0, **fields}
    )
    for row in active.weights.all():
        weight, norm = (weights or {}).get(row.event_type, (row.weight, row.norm))
        draft.weights.create(event_type=row.event_type, weight=weight, norm=norm)
    return draft


def first_weights() -> Weights:
    """Return the weights of the contract's section 3."""
    return Weights(
        weight={
            "page_view": 0.3, "email_open": 0.2, "email_click": 0.0, "form_submit": 0.2, "purchase": 0.3, "login": 0.1,
        },
        norm={"page_view": 100, "email_open": 50, "email_click": 20, "form_submit": 20, "purchase": 10, "login": 30},
        monetary_norm=1000.0,
    )  # fmt: skip


def post_events(client: ApiClient, *events: dict[str, Any]) -> Any:
    return client.post("/api/v1/events/", {"events": list(events)})


def url_of(customer_id: str, part: str = "features/") -> str:
    """Return the URL of a part of a customer; any character of the id is percent-encoded."""
    return f"/api/v1/customers/{quote(customer_id, safe='')}/{part}"


def rows_of(customer_id: str, feature_type: str = "behavioral") -> list[CustomerFeature]:
    """Return the customer's history, oldest first."""
    return list(CustomerFeature.objects.filter(customer_id=customer_id, feature_type=feature_type).order_by("id"))


def cached(customer_id: str, suffix: str = "") -> dict[str, str]:
    """Return the customer's hash in Redis: of the live versions, or of another one (`:behavioral:2.0`)."""
    main = f"customer_features:{customer_id}"
    held = get_redis_connection("default").hgetall(f"{{{main}}}{suffix}" if suffix else main)
    return {field.decode(): value.decode() for field, value in held.items()}


def stored_events() -> int:
    return Event.objects.count()


def forget_registry() -> None:
    """Load the registry again at its next use, after a test changed definitions or versions."""
    registry_snapshot.forget()


def make_definition(name: str = "pets", feature_type: str = "customer", **fields: Any) -> FeatureDefinition:
    """Make a definition; a behavioral one is, unless `fields` say otherwise, a count of all events in 30 days.

    `window` is a text such as "6h".
    """
    if feature_type == "behavioral" and fields.get("kind", "count"):
        fields = {"kind": "count", "window": "30d", **fields}
    window = {"window_hours": parse_window(fields.pop("window"))} if "window" in fields else {}
    return FeatureDefinition.objects.create(name=name, feature_type=feature_type, **window, **fields)


def make_version(
    feature_type: str = "behavioral", number: str = "2.0", *, state: str = "draft", **definitions: dict[str, Any]
) -> FeatureVersion:
    """Make a version with the live one's definitions and `definitions` (name → fields), and take it to `state`.

    make_version("behavioral", logins_7d={"kind": "count", "event_type": "login", "window": "7d"}, state="shadow")
    """
    version = drafts.draft_version(feature_type, number, by=None, reason="A test")
    made = [make_definition(name, feature_type, **fields) for name, fields in definitions.items()]
    if made:
        drafts.add_definitions(version.pk, made, by=None)
    if state != "draft":
        versions_lifecycle.put_into_shadow(version.pk, by=None, reason="A test")
    version.runs.update(state="done")
    if state in ("live", "deprecated"):
        before = FeatureVersion.objects.get(feature_type=feature_type, state="live")
        versions_lifecycle.go_live(version.pk, by=None, reason="A test")
        FeatureVersion.objects.filter(pk=version.pk).update(live_from=ago(seconds=1))
        if state == "deprecated":
            versions_lifecycle.go_live(before.pk, by=None, reason="A test")
            FeatureVersion.objects.filter(pk=before.pk).update(live_from=ago(seconds=0.5))
    if state == "retired":
        versions_lifecycle.retire(version.pk, by=None, reason="A test", confirmed=True)
    version.refresh_from_db()
    forget_registry()
    return version


def make_profile(
    values: Sequence[float], *, day: date, name: str = "engagement_score", version: str = "1.0"
) -> FeatureProfile:
    """Make the profile of a behavioral feature on a day, which is done; NaN is missing."""
    found, _ = ProfiledDay.objects.get_or_create(
        day=day,
        defaults={"state": "done", "done_at": datetime.now(UTC), "is_everybody": True, "customers": len(values)},
    )
    view = registry_snapshot.get().view("behavioral", version)
    profile = profiles.profile_of(found, view=view, name=name, values=np.array(values, dtype=np.float64))
    profile.save()
    return profile


def count_hours(event_type: str, *, until: datetime, hours: int, events: int) -> None:
    """Store that so many events of a type came in each of the hours before `until`."""
    EventHour.objects.bulk_create(
        EventHour(hour=until - timedelta(hours=number), event_type=event_type, events=events)
        for number in range(1, hours + 1)
    )
