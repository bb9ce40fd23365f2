"""No bad input gives a 500: valid bodies and queries with one part replaced by an arbitrary value."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from tests.api_client import ApiClient
from tests.factories import make_customer

MOMENT = "2026-03-15T12:00:00Z"
EVENT = {
    "event_id": "e", "customer_id": "c1", "event_type": "purchase", "timestamp": MOMENT, "session_id": "s",
    "metadata": {"amount": 1.5, "category": "a", "other": [{"deep": None}]},
}  # fmt: skip
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/events/"): {"events": [EVENT, EVENT]},
    ("PATCH", "/api/v1/customers/c1/features/"): {
        "feature_type": "customer", "version": "1.0", "features": {"tenure_days": 1.0, "loyalty_tier": 2},
        "metadata": {"by": {"whom": ["x"]}}, "timestamp": MOMENT,
    },
    ("POST", "/api/v1/features/batch/"): {
        "customer_ids": ["c1", "c2"], "names": ["tenure_days", "rfm_score"], "version": ["behavioral:1.0"],
    },
    ("PATCH", "/api/v1/features/batch/"): {
        "feature_type": "customer", "version": "1.0",
        "rows": [{"customer_id": "c1", "features": {"tenure_days": 1.0}, "timestamp": MOMENT}] * 2,
    },
    ("POST", "/api/v1/features/as-of/"): {
        "entities": [{"customer_id": "c1", "timestamp": MOMENT}], "names": ["tenure_days"], "version": "1.0",
        "known_at": MOMENT,
    },
    ("POST", "/api/v1/features/compute/"): {
        "events": [EVENT], "as_of": MOMENT, "weights": {"login": {"weight": 1, "norm": 2}}, "monetary_norm": 10,
    },
}  # fmt: skip
# Values that have broken other programs, in addition to Hypothesis' own.
AWKWARD = st.sampled_from([
    "", " ", "\x00", "\ud800", "\ufffe", "a\u0308", "null", "1.0", "NaN", "-1", "x" * 200, "{}", "customer:1.0", ":",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z", "2026-02-29T00:00:00Z",
    "2026-03-15T12:00:00", 0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.0, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), True, None, [], {}, [[]], {"": {}},
])  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str) | AWKWARD
junk = st.recursive(scalars, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3))


def places(value: Any, *, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every part of a body, the body itself included."""
    yield above
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], above=(*above, key))


def changed(body: Any, path: tuple[Any, ...], value: Any, *, how: str) -> Any:
    """Return the body with a part replaced, left out, or under another name."""
    if not path:
        return value
    body = deepcopy(body)
    parent = body
    for key in path[:-1]:
        parent = parent[key]
    if how != "replace":
        old = parent.pop(path[-1])
    if how == "replace":
        parent[path[-1]] = value
    elif how == "rename" and isinstance(parent, dict):
        parent[value if isinstance(value, str) else repr(value)] = old
    return body


@pytest.mark.parametrize(("method", "path"), BODIES, ids=[" ".join(endpoint) for endpoint in BODIES])
@given(data=st.data())
def test_a_body_with_one_part_that_is_anything(api: ApiClient, method: str, path: str, data: st.DataObject) -> None:
    body = BODIES[method, path]
    place = data.draw(st.sampled_from(list(places(body))))
    how = data.draw(st.sampled_from(["replace", "replace", "replace", "drop", "rename"]))
    sent = json.dumps(changed(body, place, data.draw(junk), how=how)).encode()
    with transaction.atomic():
        answered(api.generic(method, path, data=sent, content_type="application/json"))
        transaction.set_rollback(True)


@pytest.mark.parametrize(("method", "path"), BODIES, ids=[" ".join(endpoint) for endpoint in BODIES])
@given(sent=st.binary())
def test_a_body_that_is_any_bytes(api: ApiClient, method: str, path: str, sent: bytes) -> None:
    answered(api.generic(method, path, data=sent, content_type="application/json"))


@given(
    customer_id=st.text(min_size=1),
    part=st.sampled_from(
        ["features/", "vector/", "explanation/", "features/tenure_days/history/", "features/{}/history/"]
    ),
    name=st.text(),
    query=st.dictionaries(
        st.sampled_from(["names", "version", "since", "until", "limit", "cursor", "weights"]),
        st.text() | AWKWARD.map(str) | st.sampled_from([MOMENT, "1.0", "10", "older-1-1", "newer-0-0", "tenure_days"]),
    ),
)
def test_a_path_and_a_query_that_are_anything(
    api: ApiClient, customer_id: str, part: str, name: str, query: dict[str, str]
) -> None:
    path = f"/api/v1/customers/{as_url(customer_id)}/{part.format(as_url(name))}"
    pairs = "&".join(f"{key}={as_url(value)}" for key, value in query.items())
    answered(api.get(f"{path}?{pairs}"))


def test_what_the_fuzz_starts_from_is_right(api: ApiClient) -> None:
    make_customer("c1", page_view=1)
    for (method, path), body in BODIES.items():
        assert api.generic(method, path, data=json.dumps(body), content_type="application/json").status_code < 300


def as_url(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="")


def answered(response: Any) -> None:
    """Assert that the answer is JSON, and that an error is in the contract's form."""
    assert response.status_code in (200, 201, 400, 404, 405)
    body = response.json()
    if response.status_code >= 400:
        assert set(body) == {"type", "errors"}
        assert all(set(error) == {"code", "detail", "attr"} for error in body["errors"])
