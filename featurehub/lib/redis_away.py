"""Errors of a Redis that can't be reached or accepts no writes."""

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

ANY_REDIS_ERROR = RedisError
# No answer; or no writes, because memory is full or a replica is not promoted yet.
REDIS_AWAY = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError)
