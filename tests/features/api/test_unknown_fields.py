"""Fields of a body that no endpoint knows are refused by name, not ignored."""

from typing import Any

import pytest

from events.models import Event
from features.models import CustomerFeature
from tests.api_client import ApiClient, error_of
from tests.factories import make_event

PATCH = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 1.0}}
BATCH = {"customer_ids": ["c1"], "names": ["cart_value"]}
AS_OF = {"entities": [{"customer_id": "c1", "timestamp": "2026-01-01T00:00:00Z"}], "names": ["cart_value"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "attr"),
    [
        ("post", "events/", {"events": [make_event()], "source": "shop"}, "source"),
        ("post", "events/", {"events": [make_event(), make_event(amount=1.0)]}, "events.1.amount"),
        ("patch", "customers/c1/features/", {**PATCH, "time": "2026-01-01T00:00:00Z"}, "time"),
        ("post", "features/batch/", {**BATCH, "versions": ["1.0"]}, "versions"),
        ("post", "features/as-of/", {**AS_OF, "as_of": "2026-01-01T00:00:00Z"}, "as_of"),
        ("post", "features/as-of/", {**AS_OF, "entities": [{**AS_OF["entities"][0], "x": 1}]}, "entities.0.x"),  # type: ignore[dict-item]
        ("post", "feature-sets/", {"name": "basket", "names": ["cart_value"], "versions": []}, "versions"),
        ("post", "features/compute/", {"events": [], "norm": 1.0}, "norm"),
        ("post", "features/compute/", {"events": [], "weights": {"login": {"wight": 1.0}}}, "weights"),
    ],
)
def test_an_unknown_field_is_refused_by_name(
    api: ApiClient, method: str, path: str, body: dict[str, Any], attr: str
) -> None:
    response = getattr(api, method)(f"/api/v1/{path}", body)
    assert error_of(response)[0] == 400
    error = response.json()["errors"][0]
    assert error["code"] == "unknown_field"
    assert error["attr"].startswith(attr)
    assert (Event.objects.count(), CustomerFeature.objects.count()) == (0, 0)
