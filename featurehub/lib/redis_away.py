"""Errors of a Redis that can't be reached, or refuses commands for now."""

from redis.connection import DefaultParser
from redis.exceptions import ClusterDownError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class RefusesCommandsError(ResponseError):
    """Redis is there and refuses commands for a reason that passes."""


# By the first word of an error, in the table of all of redis-py's parsers. redis-py has no class of its own for these:
# writes after a snapshot or the append-only file could not be written (a full disk); writes without enough replicas;
# anything during a script that runs too long.
DefaultParser.EXCEPTION_CLASSES.update(dict.fromkeys(("MISCONF", "NOREPLICAS", "BUSY"), RefusesCommandsError))

ANY_REDIS_ERROR = RedisError
# No answer; or no writes, because memory or the disk is full or a replica is not promoted yet; or no master.
REDIS_AWAY = (
    RedisConnectionError,
    RedisTimeoutError,
    OutOfMemoryError,
    ReadOnlyError,
    ClusterDownError,
    RefusesCommandsError,
)
