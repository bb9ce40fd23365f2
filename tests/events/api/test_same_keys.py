"""POST /api/v1/events/ with a key that an object has twice: one of the values would be lost without a word."""

import json
from typing import Any

import pytest

from events.models import DirtyCustomer, Event
from tests.api_client import ApiClient
from tests.factories import stored_events

EVENTS = "/api/v1/events/"
WHEN = '"timestamp":"2026-01-01T00:00:00Z"'
EVENT = f'{{"customer_id":"c1","event_type":"login",{WHEN}}}'


def event_with(members: str) -> str:
    return f"{EVENT[:-1]},{members}}}"


def error_in(response: Any) -> dict[str, Any]:
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    return error


@pytest.mark.parametrize(
    ("event", "attr"),
    [
        (event_with('"customer_id":"c2"'), "customer_id"),
        (event_with('"customer_id" : "c2"'), "customer_id"),
        (event_with('"session_id":null,"session_id":"s1"'), "session_id"),
        (event_with('"metadata":{"amount":1,"amount":2}'), "amount"),
        (event_with('"metadata":{},"metadata":{"a":1}'), "metadata"),
        (event_with('"metadata":{"a":{"b":[{"c":1,"c":2}]}}'), "c"),
        (event_with('"metadata":{"a":1,"\\u0061":2}'), "a"),
        (event_with('"metadata":{"at":"12:00 :","a":1,"a":1}'), "a"),
        (event_with('"metadata":{"a\\\\":1,"b":1,"b":2}'), "b"),
        (event_with('"metadata":{"\\u0020\\u003a":"\\u0022\\u003a","b":1,"b":2}'), "b"),
    ],
)
def test_it_is_named_and_nothing_is_stored(api: ApiClient, event: str, attr: str) -> None:
    error = error_in(api.post(EVENTS, f'{{"events":[{EVENT},{event}]}}'.encode()))
    assert (error["code"], error["attr"]) == ("duplicate_key", f"events.1.{attr}")
    assert error["detail"] == "This key is given twice in one object."
    assert (stored_events(), DirtyCustomer.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "other",
    [EVENT, EVENT.replace("c1", "c2"), event_with('"metadata":{"url":"https://a : b"}')],
    ids=["the same", "another", "with a URL"],
)
def test_two_lists_of_events_are_refused(api: ApiClient, other: str) -> None:
    error = error_in(api.post(EVENTS, f'{{"events":[{other}] ,\n"events" : [{EVENT}]}}'.encode()))
    assert (error["code"], error["attr"]) == ("duplicate_key", "events")
    assert stored_events() == 0


@pytest.mark.parametrize(
    "metadata",
    [
        {"url": "https://shop.example/a?b=1:2", "at": "12:00"},
        {"text": 'a "quote": and a blank :', "json": '{"a":1,"a":2}'},
        {"nested": [{"a": 1}, {"a": 1}], "a": {"a": {"a": 1}}},
        {"back\\": 1, "back\\\\": "\\"},
        {"null": None, "": ""},
    ],
)
def test_what_only_looks_like_one_is_stored(api: ApiClient, metadata: dict[str, Any]) -> None:
    event = {**json.loads(EVENT), "session_id": None, "event_id": None, "metadata": metadata}
    body = json.dumps({"events": [event, json.loads(EVENT)]}, indent=1)
    assert api.post(EVENTS, body.encode()).json() == {"accepted": 2, "duplicates": 0}
    assert Event.objects.order_by("id")[0].metadata in (metadata, {})
