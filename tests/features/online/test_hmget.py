"""HMGETs of many keys by a connection of the thread's own: what goes wrong, and what the next read gets."""

import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from django.conf import settings
from django.test import override_settings
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from features.online.hmget import hmget_each, thread_connection
from features.online.identity import redis_breaker

FIELDS = ("a", "b")


@pytest.fixture(autouse=True)
def two_hashes() -> None:
    client = get_redis_connection("default")
    client.hset("h1", mapping={"a": "1", "b": "2"})
    client.hset("h2", mapping={"b": "ü"})
    assert hmget_each(["h1"], FIELDS) == [[b"1", b"2"]]


def test_a_row_comes_for_each_key_in_the_order_asked() -> None:
    rows = hmget_each(["h2", "nobody", "h1", "h2"], FIELDS)
    assert rows == [[None, "ü".encode()], [None, None], [b"1", b"2"], [None, "ü".encode()]]


def test_an_error_has_redis_pys_name_and_leaves_nothing_for_the_next_read() -> None:
    get_redis_connection("default").set("text", "no hash")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        hmget_each(["h1", "text", "h2"], FIELDS)
    assert hmget_each(["h1"], FIELDS) == [[b"1", b"2"]]


def test_a_connection_that_redis_closed_is_opened_again() -> None:
    get_redis_connection("default").execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert hmget_each(["h1"], FIELDS) == [[b"1", b"2"]]


@contextmanager
def a_read_in_vain() -> "Iterator[redis.Redis[bytes]]":
    """Give Redis half a second to answer within the block, which begins when a read has waited in vain.

    Yield another client, by which Redis was made to pause.
    """
    pausing = get_redis_connection("default")
    hasty = {**settings.CACHES["default"], "LOCATION": f"{settings.REDIS_URL}?socket_timeout=0.5"}
    with override_settings(CACHES={"default": hasty}):
        thread_connection.connection = None
        assert hmget_each(["h1"], FIELDS) == [[b"1", b"2"]]
        pausing.execute_command("CLIENT", "PAUSE", "2000", "ALL")
        with pytest.raises(RedisTimeoutError):
            hmget_each(["h1"], FIELDS)
        yield pausing
    thread_connection.connection = None


def test_a_late_reply_is_not_taken_for_that_of_the_next_read() -> None:
    with a_read_in_vain() as pausing:
        pausing.ping()  # has an answer when the pause is over
        assert hmget_each(["h2"], FIELDS) == [[None, "ü".encode()]]


@override_settings(POOL="reads")
def test_after_a_read_in_vain_the_next_fails_at_once_until_redis_answers() -> None:
    with a_read_in_vain():
        with pytest.raises(RedisConnectionError, match="did not answer a moment ago"):
            hmget_each(["h1"], FIELDS)
        deadline = time.monotonic() + 20
        while redis_breaker().is_open and time.monotonic() < deadline:
            time.sleep(0.02)
        assert hmget_each(["h1"], FIELDS) == [[b"1", b"2"]]


@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_reads_by_a_connection_of_its_own() -> None:
    child = os.fork()
    if not child:
        os._exit(hmget_each(["h2"] * 100, FIELDS) != [[None, "ü".encode()]] * 100)
    rows = [hmget_each(["h1"], FIELDS) for _ in range(100)]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert rows == [[[b"1", b"2"]]] * 100


def test_a_thread_that_ends_leaves_no_connection_open() -> None:
    client = get_redis_connection("default")
    gc.collect()  # of earlier tests' connections; they would hide a new one
    before = client.info("clients")["connected_clients"]
    for _ in range(3):
        thread = threading.Thread(target=hmget_each, args=(["h1"], FIELDS))
        thread.start()
        thread.join()
    deadline = time.monotonic() + 5  # Redis notes the end of a connection when it comes to it
    while client.info("clients")["connected_clients"] > before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
