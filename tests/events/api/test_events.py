"""POST /api/v1/events/."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from events import ingest
from events.models import DirtyCustomer, Event
from tests.api_client import ApiClient, error_of
from tests.at_once import at_once
from tests.factories import ago, make_client, make_event, make_purchase, post_events, stored_events
from tests.redis_commands import redis_commands

EVENTS = "/api/v1/events/"


def refused(response: Any) -> str | None:
    """Return the attr of a refusal, after which nothing is stored."""
    status, attr = error_of(response)
    assert status == 400
    assert (stored_events(), DirtyCustomer.objects.count()) == (0, 0)
    return attr


def test_events_are_stored_as_they_were_sent(api: ApiClient) -> None:
    moment = ago(hours=1)
    metadata = {"amount": 19.99, "category": "shoes", "nested": [{"a": None}], "note": "a\tb\n\\N"}
    event = make_event(
        event_id="e-1", customer_id="c-1", event_type="purchase", timestamp=moment, session_id="s-1", metadata=metadata
    )
    response = post_events(api, event)
    assert (response.status_code, response.json()) == (201, {"accepted": 1, "duplicates": 0})
    stored = Event.objects.values().get()
    assert stored.pop("received_at") > moment
    stored.pop("id")
    assert stored == {**event, "amount": 19.99, "category": "shoes"}


def test_an_event_needs_no_more_than_who_what_and_when(api: ApiClient) -> None:
    assert post_events(api, make_event(event_id=None)).status_code == 201
    stored = Event.objects.get()
    assert len(stored.event_id) == 32
    assert (stored.session_id, stored.amount, stored.category, stored.metadata) == (None, None, None, {})


def test_each_customer_is_marked_once(api: ApiClient) -> None:
    post_events(api, *(make_event(customer_id=f"c{number % 2}") for number in range(6)))
    assert sorted(DirtyCustomer.objects.values_list("customer_id", flat=True)) == ["c0", "c1"]


def test_what_was_sent_before_is_counted_as_a_duplicate_and_changes_nothing(api: ApiClient) -> None:
    event = make_purchase(amount=1.0)
    post_events(api, event)
    DirtyCustomer.objects.all().delete()
    other = {**event, "metadata": {"amount": 2.0}, "customer_id": "c2"}
    assert post_events(api, other).json() == {"accepted": 0, "duplicates": 1}
    assert (Event.objects.get().amount, DirtyCustomer.objects.count()) == (1.0, 0)


def test_duplicates_in_one_request_count_once_and_the_first_stays(api: ApiClient) -> None:
    event = make_purchase(amount=1.0)
    again = {**event, "metadata": {"amount": 2.0}}
    assert post_events(api, event, again, again).json() == {"accepted": 1, "duplicates": 2}
    assert Event.objects.get().amount == 1.0


def test_one_id_at_two_moments_is_two_events(api: ApiClient) -> None:
    assert post_events(api, make_event(event_id="e"), make_event(event_id="e")).json()["accepted"] == 2


def test_one_moment_in_two_offsets_is_one_moment(api: ApiClient) -> None:
    sent = [make_event(event_id="e", timestamp=text) for text in ("2026-05-01T12:00:00Z", "2026-05-01T14:00:00+02:00")]
    assert post_events(api, *sent).json() == {"accepted": 1, "duplicates": 1}


def test_an_event_without_an_id_counts_again_when_it_is_sent_again(api: ApiClient) -> None:
    event = make_event(event_id=None)
    assert [post_events(api, event).json()["accepted"] for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"customer_id": None}, "customer_id"),
        ({"customer_id": ""}, "customer_id"),
        ({"customer_id": "x" * 129}, "customer_id"),
        ({"customer_id": "a b"}, "customer_id"),
        ({"customer_id": "a\u00a0b"}, "customer_id"),
        ({"customer_id": "a/b"}, "customer_id"),
        ({"customer_id": "a\nb"}, "customer_id"),
        ({"customer_id": "a\x00"}, "customer_id"),
        ({"customer_id": "\u202eabc"}, "customer_id"),
        ({"customer_id": 7}, "customer_id"),
        ({"event_type": None}, "event_type"),
        ({"event_type": "Purchase"}, "event_type"),
        ({"event_type": ["purchase"]}, "event_type"),
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": "2026-05-01T12:00:00"}, "timestamp"),
        ({"timestamp": "2026-05-01"}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 1_777_636_800}, "timestamp"),
        ({"timestamp": "2026-02-30T12:00:00Z"}, "timestamp"),
        ({"timestamp": "1969-12-31T23:59:59Z"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, "timestamp"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": "x" * 65}, "event_id"),
        ({"event_id": "a\x00"}, "event_id"),
        ({"event_id": 1}, "event_id"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": "x" * 129}, "session_id"),
        ({"session_id": "a\x00"}, "session_id"),
        ({"metadata": []}, "metadata"),
        ({"metadata": "{}"}, "metadata"),
        ({"metadata": {"a": "x" * 8_192}}, "metadata"),
        ({"metadata": {"a": "é" * 4_096}}, "metadata"),
        ({"metadata": {"a": "b\x00"}}, "metadata"),
        ({"metadata": {"a\x00": 1}}, "metadata"),
        ({"metadata": {"a": {"b": ["\x00"]}}}, "metadata"),
        ({"metadata": {"amount": -0.01}}, "metadata.amount"),
        ({"metadata": {"amount": "12"}}, "metadata.amount"),
        ({"metadata": {"amount": True}}, "metadata.amount"),
        ({"metadata": {"amount": [1]}}, "metadata.amount"),
        ({"metadata": {"category": 1}}, "metadata.category"),
        ({"metadata": {"category": []}}, "metadata.category"),
    ],
)
def test_an_event_that_is_wrong_is_named_and_the_whole_request_refused(
    api: ApiClient, changes: dict[str, Any], attr: str
) -> None:
    wrong = make_event(**changes)
    assert refused(post_events(api, make_event(), make_event(), make_event(), wrong)) == f"events.3.{attr}"


@pytest.mark.parametrize(
    ("metadata", "attr"),
    [
        ('{"amount": 1e400}', "events.0.metadata"),
        ('{"amount": ' + "9" * 400 + "}", "events.0.metadata.amount"),
        ('{"a": ' + "9" * 5_000 + "}", "events.0.metadata"),
        ('{"a": 18446744073709551616}', "events.0.metadata"),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", "events.0.metadata"),
        ('{"a": ' + "[" * 900 + "]" * 900 + "}", "events.0.metadata"),
        ('{"a": ' + '{"b":' * 400 + "1" + "}" * 400 + "}", "events.0.metadata"),
        ('{"a": "\\ud800"}', None),
        ('{"amount": NaN}', None),
        ('{"amount": Infinity}', None),
        ('{"amount": 01}', None),
    ],
)
def test_json_that_nobody_could_store_is_refused(api: ApiClient, metadata: str, attr: str | None) -> None:
    event = '{"customer_id": "c1", "event_type": "purchase", "timestamp": "2026-05-01T12:00:00Z", "metadata": %s}'
    assert refused(api.post(EVENTS, ('{"events": [%s]}' % (event % metadata)).encode())) == attr


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({}, "events"),
        ({"events": []}, "events"),
        ({"events": None}, "events"),
        ({"events": {}}, "events"),
        ({"events": [None]}, "events.0"),
        ({"events": ["x"]}, "events.0"),
        ({"events": [[]]}, "events.0"),
    ],
)
def test_a_body_without_events_is_refused(api: ApiClient, body: Any, attr: str) -> None:
    assert refused(api.post(EVENTS, body)) == attr


@pytest.mark.parametrize(
    "changes",
    [
        {"customer_id": "x" * 128},
        {"customer_id": "ünïcode-客户-🛒"},
        {"customer_id": "a:b{c}%2F*?"},
        {"customer_id": "\\N"},
        {"event_id": "x" * 64},
        {"event_id": "ü\t\n\\."},
        {"session_id": "x" * 128},
        {"session_id": " "},
        {"timestamp": "1970-01-01T00:00:00Z"},
        {"timestamp": "2026-05-01T12:00:00.123456789+05:45"},
        {"metadata": {"amount": 0}},
        {"metadata": {"amount": 1e15}},
        {"metadata": {"amount": 5e-324}},
        {"metadata": {"amount": 2**64 - 1}},
        {"metadata": {"amount": None, "category": None}},
        {"metadata": {"category": ""}},
        {"metadata": {"category": "x" * 8_000}},
        {"metadata": {"": {"": [[], {}, 0.1, True, None]}}},
    ],
)
def test_what_is_at_the_edge_of_right_is_taken(api: ApiClient, changes: dict[str, Any]) -> None:
    assert post_events(api, make_event(**changes)).status_code == 201
    stored = Event.objects.get()
    assert {name: getattr(stored, name) for name in changes if name != "timestamp"} == {
        name: value for name, value in changes.items() if name != "timestamp"
    }


@pytest.mark.parametrize(("ahead", "status"), [(timedelta(minutes=4, seconds=50), 201), (timedelta(minutes=6), 400)])
def test_a_clock_may_be_five_minutes_ahead(api: ApiClient, ahead: timedelta, status: int) -> None:
    assert post_events(api, make_event(timestamp=datetime.now(UTC) + ahead)).status_code == status


@pytest.mark.parametrize(("number", "status"), [(10_000, 201), (10_001, 400)])
def test_a_request_holds_at_most_ten_thousand_events(api: ApiClient, number: int, status: int) -> None:
    response = post_events(api, *[make_event(event_id=None)] * number)
    assert response.status_code == status
    if status == 400:
        assert refused(response) == "events"
    else:
        assert stored_events() == number


def test_ingestion_costs_the_same_statements_for_each_part_whatever_the_number_of_events(api: ApiClient) -> None:
    def statements(number: int) -> int:
        with CaptureQueriesContext(connection) as queries:
            post_events(api, *(make_event(customer_id=f"c{number}") for number in range(number)))
        return len(queries)

    statements(1)
    assert statements(1) <= statements(2_000) == statements(2_500) <= 10
    assert statements(5_000) <= 2 * statements(2_500) + 2


def test_a_worker_is_nudged_after_the_commit_at_most_once_a_second(
    committed: None, api: ApiClient, empty_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "NUDGE_SECONDS", 60)  # longer than this test takes on a slow machine
    for _ in range(3):
        post_events(api, make_event())
    assert empty_redis.llen("realtime") == 1


def test_nobody_is_nudged_for_duplicates_or_for_what_was_refused(api: ApiClient, empty_redis: Any) -> None:
    event = make_event()
    post_events(api, event)
    empty_redis.delete("realtime", ":1:events.nudge")
    with redis_commands() as commands:
        post_events(api, event)
        post_events(api, make_event(event_type="guess"))
    assert commands == []


def test_the_same_events_sent_at_once_count_once(committed: None) -> None:
    clients = [make_client("ingest") for _ in range(4)]
    events = [make_event(customer_id=f"c{number}") for number in range(200)]

    def post(client: ApiClient, sent: list[dict[str, Any]]) -> Callable[[], int]:
        return lambda: int(post_events(client, *sent).json()["accepted"])

    accepted = at_once(*(post(client, events[::step]) for client, step in zip(clients, (1, -1, 1, -1), strict=True)))
    assert (sum(accepted), stored_events()) == (200, 200)


@pytest.mark.parametrize("offset", ["+16:00", "-16:00", "+23:59", "-23:59"])
def test_an_offset_that_postgresql_does_not_know_is_a_moment_like_any_other(api: ApiClient, offset: str) -> None:
    assert post_events(api, make_event(timestamp=f"2026-05-02T12:00:00{offset}")).json()["accepted"] == 1
    assert Event.objects.get().timestamp == datetime.fromisoformat(f"2026-05-02T12:00:00{offset}")
