"""One table of bad inputs: each is refused with 4xx in the contract's form, at every endpoint, and changes nothing."""

import json
from typing import Any

import pytest
from django.apps import apps

from features.models import VersionUse
from tests.api_client import ApiClient
from tests.factories import cached, make_customer, url_of
from tests.featurehub.http.test_fuzz import BODIES

HUGE = str(10**400)
# Bodies that are wrong whatever the endpoint; GOOD stands for a good body without its braces.
BODIES_OF_NO_ENDPOINT: dict[str, bytes] = {
    "nothing": b"", "null": b"null", "a list": b"[]", "a text": b'"x"', "a number": b"1", "no object": b"{}",
    "a byte order mark": b"\xef\xbb\xbf{GOOD}", "UTF-16": "{GOOD}".encode("utf-16"), "not UTF-8": b'{"\xff": 1, GOOD}',
    "two objects": b"{GOOD}{GOOD}", "half of one": b"{GOOD", "a trailing comma": b"{GOOD,}",
    "single quotes": b"{'a': 1, GOOD}", "a comment": b"/* */{GOOD}", "an unknown field": b'{"x": 1, GOOD}',
    "an empty name": b'{"": 1, GOOD}', "deep lists": b"[" * 100_000, "deep objects": b'{"x":' * 100_000,
    "a form": b"events=1&names=2", "NaN as a body": b"NaN", "half an escape": b'{"\\u12": 1, GOOD}',
}  # fmt: skip
NOT_A_MOMENT = [
    '"0000-01-01T00:00:00Z"', '"10000-01-01T00:00:00Z"', '"2026-02-30T00:00:00Z"', '"2026-01-01T00:00:00"', '""',
    '"2026-01-01T24:00:01Z"', '"2026-01-01T00:00:00+24:00"', '"1969-12-31T23:59:59Z"', "1e400", "true", HUGE, "[]",
    '"9999-12-31T23:59:59-14:00"', '"2026-01-01T00:00:00Z\\u0000"',
]  # fmt: skip
NOT_AN_ID = [
    '""', '" "', '"a b"', '"a/b"', '"\\u0000"', '"\\ud800"', '"\\n"', '"\\u00a0"', '"\\u200b"', f'"{"x" * 129}"', "1",
    "null", "NaN", "{}",
]  # fmt: skip
NOT_A_NUMBER = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", HUGE, '"1"', "null", "true", "[]", "{}", "01", "+1"]
NOT_METADATA = [
    "[]", '"x"', "1", '{"amount": -1}', '{"amount": NaN}', '{"amount": "1"}', '{"amount": true}', '{"category": 1}',
    f'{{"x": {10**20}}}', '{"x": "\\u0000"}', '{"x": "\\ud800"}', f'{{"x": "{"y" * 9_000}"}}',
    '{"x": ' + "[" * 300 + "]" * 300 + "}",
]  # fmt: skip
EVENTS, PATCH, BATCH, ROWS, AS_OF, COMPUTE = BODIES
# (endpoint, place in its good body) → wrong values as JSON.
PLACES: dict[tuple[tuple[str, str], tuple[Any, ...]], list[str]] = {
    (EVENTS, ("events",)): ["[]", "{}", "null"],
    (EVENTS, ("events", 0, "customer_id")): NOT_AN_ID,
    (EVENTS, ("events", 0, "event_type")): ['"refund"', '""', "null", '"LOGIN"'],
    (EVENTS, ("events", 0, "timestamp")): [*NOT_A_MOMENT, '"2999-01-01T00:00:00Z"', "null"],
    (EVENTS, ("events", 0, "event_id")): ['""', f'"{"x" * 65}"', '"\\u0000"', '"\\ud800"', "1"],
    (EVENTS, ("events", 0, "session_id")): ['""', f'"{"x" * 129}"', '"\\u0000"', "1"],
    (EVENTS, ("events", 0, "metadata")): [*NOT_METADATA, "null"],
    (PATCH, ("feature_type",)): ['"behavioral"', '"derived"', '""', '"x"', "null"],
    (PATCH, ("version",)): ['"9.9"', '""', '"\\u0000"', "1.0", "null"],
    (PATCH, ("features",)): ["{}", "[]", "null", '{"x": 1}', '{"page_views_30d": 1}', '{"": 1}', '{"\\u0000": 1}'],
    (PATCH, ("features", "tenure_days")): NOT_A_NUMBER,
    (PATCH, ("timestamp",)): [*NOT_A_MOMENT, '"2999-01-01T00:00:00Z"'],
    (PATCH, ("metadata",)): NOT_METADATA,
    (BATCH, ("customer_ids",)): ["[]", "{}", "null", json.dumps(["c"] * 1_001)],
    (BATCH, ("customer_ids", 1)): NOT_AN_ID,
    (BATCH, ("names",)): ["[]", "null", "[1]", json.dumps(["n"] * 501)],
    (BATCH, ("version",)): ['"9.9"', '["1.0", "behavioral:9.9"]', "1", "null", '"\\u0000"'],
    (ROWS, ("feature_type",)): ['"behavioral"', '"derived"', '""', '"x"', "null"],
    (ROWS, ("version",)): ['"9.9"', '""', '"\\u0000"', "1.0", "null"],
    (ROWS, ("rows",)): ["[]", "{}", "null", "[1]"],
    (ROWS, ("rows", 1, "customer_id")): NOT_AN_ID,
    (ROWS, ("rows", 1, "features")): ["{}", "[]", "null", '{"x": 1}', '{"": 1}', '{"\\u0000": 1}'],
    (ROWS, ("rows", 1, "features", "tenure_days")): NOT_A_NUMBER,
    (ROWS, ("rows", 1, "timestamp")): [*NOT_A_MOMENT, '"2999-01-01T00:00:00Z"'],
    (AS_OF, ("entities",)): ["[]", "null", "[1]"],
    (AS_OF, ("entities", 0, "customer_id")): NOT_AN_ID,
    (AS_OF, ("names",)): ["[]", "null", json.dumps(["n"] * 501)],
    (AS_OF, ("version",)): ['"9.9"', "1"],
    (COMPUTE, ("events", 0, "timestamp")): NOT_A_MOMENT,
    (COMPUTE, ("events", 0, "metadata")): NOT_METADATA,
    (COMPUTE, ("as_of",)): NOT_A_MOMENT,
    (COMPUTE, ("weights", "login", "weight")): ["-1", *(text for text in NOT_A_NUMBER if text != "null")],
    (COMPUTE, ("weights", "login", "norm")): ["0", "-1", *(text for text in NOT_A_NUMBER if text != "null")],
    (COMPUTE, ("monetary_norm",)): ["0", "-1", *(text for text in NOT_A_NUMBER if text != "null")],
}  # fmt: skip
HISTORY = url_of("c1", "features/page_views_30d/history/")
URLS: dict[str, tuple[str, str]] = {
    **{f"{method} without a slash": (method, path[:-1]) for method, path in BODIES},
    **{f"{method} {path}": (method, path) for method in ("PUT", "OPTIONS", "TRACE") for _, path in BODIES},
    "an empty id": ("GET", "/api/v1/customers//features/"),
    "an id of 129": ("GET", url_of("x" * 129)),
    "a slash in the id": ("GET", url_of("a/b")),
    "a blank id": ("DELETE", url_of(" ", "")),
    "a zero byte": ("DELETE", url_of("\x00", "")),
    "no names": ("GET", url_of("c1") + "?names="),
    "501 names": ("GET", url_of("c1") + "?names=" + ",".join(["n"] * 501)),
    "1,001 parameters": ("GET", url_of("c1") + "?" + "&".join(["a=1"] * 1_001)),
    "an unknown version": ("GET", url_of("c1") + "?version=9.9"),
    "an unknown feature": ("GET", url_of("c1", "features/nothing/history/")),
    "an unknown weight set": ("GET", url_of("c1", "explanation/") + "?weights=999999"),
    "a weight set of 19 digits": ("GET", url_of("c1", "explanation/") + "?weights=" + "9" * 19),
    "a limit of 0": ("GET", f"{HISTORY}?limit=0"),
    "a limit of 1,001": ("GET", f"{HISTORY}?limit=1001"),
    "a limit in other digits": ("GET", f"{HISTORY}?limit=%D9%A1"),
    "a cursor": ("GET", f"{HISTORY}?cursor=older-1"),
    "a naive moment": ("GET", f"{HISTORY}?since=2026-01-01T00:00:00"),
    "the year 0": ("GET", f"{HISTORY}?until=0000-01-01T00:00:00Z"),
    "the year 10000": ("GET", f"{HISTORY}?until=10000-01-01T00:00:00Z"),
}
MARK = "@@@"


def with_raw(body: Any, place: tuple[Any, ...], raw: str) -> bytes:
    """Return the body as JSON, with a text that may be no JSON at the place."""
    body = json.loads(json.dumps(body))
    part = body
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = MARK
    return json.dumps(body).replace(f'"{MARK}"', raw).encode()


WRONG = [
    pytest.param(*endpoint, with_raw(BODIES[endpoint], place, raw), id=f"{endpoint[1]}-{place[-1]}-{raw[:30]}")
    for (endpoint, place), values in PLACES.items()
    for raw in values
] + [
    pytest.param(*endpoint, content.replace(b"GOOD", json.dumps(body)[1:-1].encode()), id=f"{endpoint[1]}-{name}")
    for endpoint, body in BODIES.items()
    for name, content in BODIES_OF_NO_ENDPOINT.items()
]


def everything() -> dict[str, Any]:
    """Return all that is stored of customers, in PostgreSQL and in Redis."""
    models = [model for name in ("events", "features") for model in apps.get_app_config(name).get_models()]
    stored = {model._meta.label: list(model.objects.order_by("pk").values()) for model in models if model != VersionUse}
    return {**stored, "redis": cached("c1")}


def check_refused(response: Any) -> None:
    assert 400 <= response.status_code < 500, response.content
    body = response.json()
    assert set(body) == {"type", "errors"}
    assert all(set(error) == {"code", "detail", "attr"} for error in body["errors"])


@pytest.mark.parametrize(("method", "path", "content"), WRONG)
def test_a_wrong_body_is_refused_and_changes_nothing(api: ApiClient, method: str, path: str, content: bytes) -> None:
    make_customer("c1", page_view=1)
    before = everything()
    check_refused(api.generic(method, path, data=content, content_type="application/json"))
    assert everything() == before


@pytest.mark.parametrize(("method", "path"), URLS.values(), ids=URLS)
def test_a_wrong_address_is_refused_and_changes_nothing(api: ApiClient, method: str, path: str) -> None:
    make_customer("c1", page_view=1)
    before = everything()
    body = b"" if method in ("GET", "DELETE") else json.dumps(BODIES.get((method, f"{path}/"), {})).encode()
    check_refused(api.generic(method, path, data=body, content_type="application/json"))
    assert everything() == before


@pytest.mark.parametrize("length", [1, 128])
def test_ids_of_the_shortest_and_the_longest_length_are_taken(api: ApiClient, length: int) -> None:
    body = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 1.0}}
    assert api.patch(url_of("é" * length), body).status_code == 200
    assert api.get(url_of("é" * length)).json()["features"]["cart_value"] == 1.0


@pytest.mark.parametrize("offset", ["+16:00", "-23:59", "+15:59"])
def test_offsets_of_16_hours_and_more_are_moments(api: ApiClient, offset: str) -> None:
    event = {"customer_id": "c1", "event_type": "login", "timestamp": f"2026-01-02T00:00:00{offset}"}
    assert api.post("/api/v1/events/", {"events": [event]}).status_code == 201
    assert api.get(f"{HISTORY}?since=2026-01-01T00:00:00{offset.replace('+', '%2B')}").status_code == 200
