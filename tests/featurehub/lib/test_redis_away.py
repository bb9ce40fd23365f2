"""Errors of a Redis that refuses commands for now, each from a real Valkey."""

from collections.abc import Iterator

import pytest
import redis
from django_redis import get_redis_connection
from redis.exceptions import ResponseError

from featurehub.lib.redis_away import REDIS_AWAY


@pytest.fixture
def without_replicas(own_redis: "redis.Redis[bytes]") -> Iterator[None]:
    own_redis.config_set("min-replicas-to-write", 1)
    yield
    own_redis.config_set("min-replicas-to-write", 0)


@pytest.mark.usefixtures("without_replicas")
def test_a_redis_without_its_replicas_accepts_no_writes() -> None:
    client = get_redis_connection("default")
    with pytest.raises(REDIS_AWAY, match="replicas"):
        client.set("x", 1)
    with pytest.raises(REDIS_AWAY):
        client.eval("return redis.call('SET', KEYS[1], 1)", 1, "x")


@pytest.mark.usefixtures("full_redis")
def test_a_full_redis_accepts_no_writes() -> None:
    with pytest.raises(REDIS_AWAY):
        get_redis_connection("default").set("x", 1)


def test_a_mistake_is_no_absence() -> None:
    client = get_redis_connection("default")
    client.set("x", 1)
    with pytest.raises(ResponseError) as raised:
        client.hget("x", "y")
    assert not isinstance(raised.value, REDIS_AWAY)
