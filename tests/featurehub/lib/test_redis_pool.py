"""Connections to Redis with a breaker: after a timeout the next calls fail at once, until Redis answers."""

import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings
from redis import Redis
from redis.connection import SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from featurehub.lib.redis_pool import RedisPool

PAUSE_MS = 3_000
SECONDS = 0.5


@pytest.fixture
def client(settings: Settings) -> Iterator["Redis[bytes]"]:
    """Return a client of a process in a pool, with half a second for each answer."""
    settings.POOL = "api"
    pool = RedisPool.from_url(django_settings.REDIS_URL, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
    client = Redis(connection_pool=pool)
    assert client.ping()
    yield client
    wait_for_an_answer(client)
    client.close()


def wait_for_an_answer(client: "Redis[bytes]") -> float:
    begun = time.monotonic()
    while time.monotonic() - begun < 20:
        try:
            client.ping()
        except RedisConnectionError:
            time.sleep(0.01)
        else:
            break
    return time.monotonic() - begun


def seconds_of(call: Any, error: type[Exception]) -> float:
    begun = time.monotonic()
    with pytest.raises(error):
        call()
    return time.monotonic() - begun


def test_the_first_timeout_lets_the_next_calls_fail_at_once_until_redis_answers(
    client: "Redis[bytes]", own_redis: "Redis[bytes]"
) -> None:
    own_redis.execute_command("CLIENT", "PAUSE", PAUSE_MS, "ALL")
    assert SECONDS <= seconds_of(client.ping, RedisTimeoutError) < 2.5
    # The median: one call may be long on a slow machine.
    assert median(seconds_of(client.ping, RedisConnectionError) for _ in range(20)) < SECONDS / 2
    assert wait_for_an_answer(client) < 6.0


def test_a_connection_in_use_fails_at_once_too(client: "Redis[bytes]", own_redis: "Redis[bytes]") -> None:
    own = client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    own.connect()
    send = partial(own.send_packed_command, [b"*1\r\n$4\r\nPING\r\n"])
    own_redis.execute_command("CLIENT", "PAUSE", PAUSE_MS, "ALL")
    seconds_of(client.ping, RedisTimeoutError)
    assert median(seconds_of(send, RedisConnectionError) for _ in range(5)) < SECONDS / 2
    wait_for_an_answer(client)
    send()
    assert own.read_response(disable_decoding=True) == b"PONG"
    own.disconnect()


def test_a_connection_that_redis_closed_is_no_absence(client: "Redis[bytes]", own_redis: "Redis[bytes]") -> None:
    own_redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert client.ping()
    assert not client.connection_pool.connection_kwargs["breaker"].is_open


@pytest.mark.parametrize(
    ("url", "connection_class"),
    [("rediss://localhost:1", SSLConnection), ("unix:///tmp/nobody.sock", UnixDomainSocketConnection)],
)
def test_other_kinds_of_connections_have_a_breaker_too(url: str, connection_class: type) -> None:
    made = RedisPool.from_url(url).make_connection()
    assert isinstance(made, connection_class)
    with pytest.raises(RedisConnectionError):
        made.connect()
