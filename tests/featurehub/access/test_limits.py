"""Limits of a key's requests and of failed authentications, counted in Redis for all workers together."""

import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django_redis import get_redis_connection

from featurehub.access.authentication import clients
from featurehub.access.limits import FAILURES_PER_MINUTE, source_of
from featurehub.access.models import ApiKey, create_api_key
from tests.api_client import ApiClient
from tests.away import redis_away
from tests.factories import make_event, post_events, stored_events, url_of
from tests.redis_commands import redis_commands

pytestmark = pytest.mark.django_db


def make_client(*, per_minute: int | None) -> ApiClient:
    clients.forget()
    _, key = create_api_key("shop", scopes=["read", "ingest"], requests_per_minute=per_minute)
    return ApiClient(key=key)


def read(client: ApiClient, **headers: Any) -> HttpResponse:
    return client.get(url_of("c1"), {"names": "tenure_days"}, **headers)


def statuses(client: ApiClient, number: int, **headers: Any) -> list[int]:
    return [read(client, **headers).status_code for _ in range(number)]


def begin_new_minute() -> None:
    """Forget the counts, as happens after sixty seconds."""
    redis = get_redis_connection("default")
    for key in redis.keys("rate_limits:*"):
        assert redis.pttl(key) > 0
        redis.pexpire(key, 1)
    while redis.keys("rate_limits:*"):
        pass


def test_a_key_beyond_its_limit_is_told_when_to_come_back() -> None:
    client = make_client(per_minute=3)
    assert statuses(client, 3) == [200, 200, 200]
    response = read(client)
    assert response.status_code == 429
    assert 50 < int(response.headers["Retry-After"]) <= 60
    assert response.json() == {
        "type": "client_error",
        "errors": [{"code": "throttled", "detail": response.json()["errors"][0]["detail"], "attr": None}],
    }
    assert "3 requests per minute" in response.json()["errors"][0]["detail"]


def test_the_next_minute_begins_anew() -> None:
    client = make_client(per_minute=1)
    assert statuses(client, 3) == [200, 429, 429]
    begin_new_minute()
    assert statuses(client, 2) == [200, 429]


def test_retry_after_is_what_is_left_of_the_minute() -> None:
    client = make_client(per_minute=1)
    assert retry_after(client, left_ms=20_000) == "20"
    assert retry_after(client, left_ms=900) == "1"


def retry_after(client: ApiClient, *, left_ms: int) -> str:
    """Return the header of a request in a minute of which so much is left; try again where it took half a second."""
    redis = get_redis_connection("default")
    while True:
        read(client)  # begins a minute if there is none
        begun = time.monotonic()
        redis.pexpire(redis.keys("rate_limits:*")[0], left_ms)
        response = read(client)
        if time.monotonic() - begun < 0.5:
            return response.headers["Retry-After"]


def test_each_key_has_a_limit_of_its_own_and_one_without_has_none() -> None:
    clients_of_keys = [make_client(per_minute=1), make_client(per_minute=2), make_client(per_minute=None)]
    assert [statuses(client, 3) for client in clients_of_keys] == [[200, 429, 429], [200, 200, 429], [200, 200, 200]]


def test_a_refused_request_changes_nothing() -> None:
    client = make_client(per_minute=1)
    read(client)
    assert post_events(client, make_event()).status_code == 429
    assert stored_events() == 0


def test_a_limit_costs_one_command_and_no_limit_costs_none() -> None:
    limited, free = make_client(per_minute=100), make_client(per_minute=None)
    for client in (limited, free):
        read(client)
    with redis_commands() as with_limit:
        read(limited)
    with redis_commands() as without_limit:
        read(free)
    assert len(with_limit) == len(without_limit) + 1
    assert with_limit[0].startswith("EVALSHA")


def test_where_redis_is_away_nobody_is_refused() -> None:
    client = make_client(per_minute=1)
    with redis_away():
        assert statuses(client, 3) == [200, 200, 200]


def test_where_redis_is_full_nobody_is_refused(full_redis: None) -> None:
    assert statuses(make_client(per_minute=1), 3) == [200, 200, 200]


def test_trying_keys_is_refused_and_a_good_key_is_not() -> None:
    good = make_client(per_minute=None)
    guesses = [ApiClient(key=f"fh_guess{number}") for number in range(FAILURES_PER_MINUTE + 2)]
    assert [read(guess).status_code for guess in guesses] == [401] * FAILURES_PER_MINUTE + [429, 429]
    assert read(guesses[0]).headers["Retry-After"]
    assert read(good).status_code == 200
    begin_new_minute()
    assert read(guesses[0]).status_code == 401


def test_failures_of_one_address_are_not_those_of_another() -> None:
    guess = ApiClient(key="fh_guess")
    assert statuses(guess, FAILURES_PER_MINUTE + 1, REMOTE_ADDR="192.0.2.1")[-1] == 429
    assert statuses(guess, 1, REMOTE_ADDR="192.0.2.2") == [401]


def test_a_header_that_somebody_sends_is_no_address() -> None:
    guess = ApiClient(key="fh_guess")
    for number in range(FAILURES_PER_MINUTE):
        read(guess, HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")
    assert read(guess, HTTP_X_FORWARDED_FOR="203.0.113.1").status_code == 429


def test_asking_without_a_key_is_no_guess() -> None:
    assert statuses(ApiClient(), FAILURES_PER_MINUTE + 1) == [401] * (FAILURES_PER_MINUTE + 1)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_failures_are_counted_for_what_one_machine_has(address: str, source: str) -> None:
    assert source_of(address) == source


def test_the_command_gives_a_key_its_limit(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_api_key", "shop", "--scope", "read", "--requests-per-minute", "2")
    assert statuses(ApiClient(key=capsys.readouterr().out.strip()), 3) == [200, 200, 429]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "2147483648"])
def test_the_command_refuses_what_is_no_limit(text: str) -> None:
    with pytest.raises(CommandError, match="must be a whole number from 1"):
        call_command("create_api_key", "shop", "--scope", "read", f"--requests-per-minute={text}")
    assert not ApiKey.objects.exists()


def test_the_database_refuses_a_limit_of_nothing() -> None:
    with pytest.raises(IntegrityError, match="api_key_limit_is_positive"), transaction.atomic():
        create_api_key("shop", scopes=["read"], requests_per_minute=0)


def test_the_schema_says_of_every_call_how_it_is_refused(client: ApiClient) -> None:
    paths = client.get("/api/schema/", {"format": "json"}).json()["paths"]
    answers = [operation["responses"] for path in paths.values() for operation in path.values()]
    assert len(answers) >= 12
    for answer in answers:
        assert {"400", "401", "403", "404", "429", "503"} < set(answer)
        assert answer["429"]["headers"]["Retry-After"]["schema"] == {"type": "integer", "minimum": 0}
