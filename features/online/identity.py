"""The identity of the Redis that answers: another after each start and each failover.

What was written to one identity may be missing in the next.
"""

import re
from typing import Any

from django_redis import get_redis_connection
from redis.exceptions import ReadOnlyError

from featurehub.lib.breaker import Breaker
from features.online.layout import PROBE_KEY

QUESTIONS = (("INFO", "server"), ("INFO", "replication"), ("DEL", PROBE_KEY))
PARTS = re.compile(rb"^(role|run_id|master_replid):([^\r\n]*)", re.MULTILINE)


def new_connection() -> Any:
    """Return a connection with the pool's settings that is not in the pool; its first command opens it."""
    pool = get_redis_connection("default").connection_pool
    return pool.connection_class(**pool.connection_kwargs)


def ask_identity(connection: Any) -> str:
    """Return the identity of a Redis that takes writes. Raises redis-py's exceptions, ReadOnlyError of a replica.

    To delete a key that is not there is a write, which Redis refuses with a full disk or without its replicas. With a
    full memory it does not. One round trip; the connection is closed after an error.
    """
    try:
        connection.send_packed_command(connection.pack_commands(QUESTIONS))
        server, replication, _ = [connection.read_response(disable_decoding=True) for _ in QUESTIONS]
    except BaseException:
        connection.disconnect()
        raise
    parts = dict(PARTS.findall(server + replication))
    if parts.get(b"role") == b"slave":
        raise ReadOnlyError("Redis is a replica.")
    return b"/".join([parts.get(b"run_id", b""), parts.get(b"master_replid", b"")]).decode()


def read_identity() -> str:
    """Return the identity of the Redis that answers now, as `ask_identity` does."""
    connection = new_connection()
    try:
        return ask_identity(connection)
    finally:
        connection.disconnect()


def redis_breaker() -> Breaker:
    """Return the breaker of this process' connections to Redis."""
    breaker: Breaker = get_redis_connection("default").connection_pool.connection_kwargs["breaker"]
    return breaker
