"""The hashes of a customer in Redis, also of versions that are not live, and the hashes that are expected."""

from types import ModuleType

import pytest
from django_redis import get_redis_connection

from features.online.layout import PREFIX, key_of
from features.online.publish import publish
from tests.factories import cached, make_version


def hashes(customer_id: str = "c1") -> dict[str, dict[str, str]]:
    """Return every hash of a customer, by key."""
    start = f"{{{PREFIX}{customer_id}}}"
    keys = [key.decode() for key in get_redis_connection("default").keys(f"{start}:*")]
    held = {suffix: cached(customer_id, suffix) for suffix in ("", *(key.removeprefix(start) for key in keys))}
    return {key_of(customer_id, suffix): fields for suffix, fields in sorted(held.items()) if fields}


def published_anew(customer_id: str) -> dict[str, dict[str, str]]:
    """Delete the customer's hashes, publish, and return the new hashes."""
    get_redis_connection("default").delete(*hashes(customer_id))
    publish([customer_id])
    return hashes(customer_id)


def record_published(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[str]:
    """Record the customers that the module publishes as a whole, in the list that is returned."""
    found: list[str] = []

    def publish_and_record(customer_ids: list[str]) -> None:
        found.extend(customer_ids)
        publish(customer_ids)

    monkeypatch.setattr(module, "publish", publish_and_record)
    return found


def make_versions() -> None:
    """Make versions beside the live ones, with decaying features and with features derived from all types."""
    make_version(
        "behavioral",
        recent_views={"kind": "count", "event_type": "page_view", "half_life_days": 3.5, "window": "60d"},
        recent_amount={
            "kind": "sum", "event_type": "purchase", "metadata_key": "amount", "half_life_days": 0.3, "window": "31d",
        },
        state="shadow",
    )  # fmt: skip
    make_version("contextual", coupons={}, state="shadow")
    make_version(
        "derived",
        warm_cart={"expression": "cart_value * recency_score"},
        warmth={"expression": "log(warm_cart) / (1 + purchases_30d)"},
        state="shadow",
    )
