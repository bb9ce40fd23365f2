"""POST /api/v1/events/ with bodies that are much larger decoded than as text: the memory stays in proportion."""

import json
import tracemalloc
from typing import Any

import pytest

from events.models import Event
from tests.api_client import ApiClient, error_of
from tests.factories import make_event, stored_events

EVENTS = "/api/v1/events/"
MB = 1024 * 1024
BODY = 4 * MB
# 300 MB for the 16 MB that the front lets through.
MOST_MEMORY = 300 / 16 * BODY


def body_of_events(metadata: str, *, number: int = 1) -> bytes:
    """Return a body of events with this JSON as their metadata."""
    event = json.dumps(make_event(event_id=None, timestamp="2026-05-01T12:00:00Z", metadata=0))
    return f'{{"events":[{",".join([event.replace(": 0", f":{metadata}")] * number)}]}}'.encode()


def repeated(part: str, *, size: int) -> str:
    return '{"a":[' + ",".join([part] * (size // (len(part) + 1))) + "]}"


def peak_of_post(api: ApiClient, body: bytes) -> tuple[Any, int]:
    """Return the answer and the largest memory that was taken for it, in bytes."""
    tracemalloc.start()
    try:
        response = api.post(EVENTS, body)
        return response, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


WIDEST = ["[]", "{}", '{"":0}', '""', "1.5", "9" * 18, '"\U0001f6d2"']


@pytest.mark.parametrize("part", WIDEST)
def test_one_large_metadata_is_refused_before_it_is_decoded(api: ApiClient, part: str) -> None:
    response, peak = peak_of_post(api, body_of_events(repeated(part, size=BODY)))
    assert error_of(response) == (400, "events.0.metadata")
    assert peak < MOST_MEMORY


@pytest.mark.parametrize("part", WIDEST)
def test_many_metadata_of_8_kb_take_no_more_memory_than_their_text(api: ApiClient, part: str) -> None:
    size = 8_000 if part.isascii() else 4_000
    number = BODY // size
    response, peak = peak_of_post(api, body_of_events(repeated(part, size=size), number=number))
    assert response.json() == {"accepted": number, "duplicates": 0}
    assert peak < MOST_MEMORY
    assert stored_events() == number


def test_many_keys_take_no_more_memory_than_their_text(api: ApiClient) -> None:
    metadata = json.dumps({f"{number:x}": 0 for number in range(900)}, separators=(",", ":"))
    response, peak = peak_of_post(api, body_of_events(metadata, number=BODY // len(metadata)))
    assert response.status_code == 201
    assert peak < MOST_MEMORY


@pytest.mark.parametrize(("blanks", "status"), [(60_000, 201), (70_000, 400)])
def test_blanks_count_only_beyond_64_kb(api: ApiClient, blanks: int, status: int) -> None:
    response = api.post(EVENTS, body_of_events('{"amount": 1,%s"category": "shoes"}' % (" " * blanks)))
    assert response.status_code == status
    if status == 201:
        assert Event.objects.get().metadata == {"amount": 1, "category": "shoes"}


def test_escapes_count_as_what_they_stand_for(api: ApiClient) -> None:
    assert api.post(EVENTS, body_of_events('{"a": "%s"}' % (r"\u0061" * 8_000))).status_code == 201
    assert Event.objects.get().metadata == {"a": "a" * 8_000}


@pytest.mark.parametrize(
    "metadata",
    ["[]", '"text"', "1", "null", "true", '{"a": 01}', '{"a": NaN}', r'{"a": "\ud800"}', '{"a": "\t"}', "{a: 1}"],
)
def test_metadata_that_is_no_object_of_json_is_refused(api: ApiClient, metadata: str) -> None:
    response = api.post(EVENTS, body_of_events(metadata))
    assert response.status_code == 400
    assert response.json()["errors"][0]["attr"] in ("events.0.metadata", None)
    assert stored_events() == 0
