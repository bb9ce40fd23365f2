"""The identity of the Redis that answers: another after each start and each failover.

What was written to one identity may be missing in the next.
"""

import re

from django_redis import get_redis_connection
from redis.exceptions import ReadOnlyError

from featurehub.lib.breaker import Breaker
from features.online.hmget import new_connection
from features.online.layout import PROBE_KEY

QUESTIONS = (("INFO", "server"), ("INFO", "replication"), ("DEL", PROBE_KEY))
PARTS = re.compile(rb"^(role|run_id|master_replid):([^\r\n]*)", re.MULTILINE)


class Inquirer:
    """A connection of its own, by which one thread asks Redis for its identity again and again."""

    def __init__(self) -> None:
        self._connection = new_connection()

    def identity(self) -> str:
        """Return the identity of a Redis that takes writes. Raises redis-py's exceptions, ReadOnlyError of a replica.

        To delete a key that is not there is a write, which Redis refuses with a full disk or without its replicas. With
        a full memory it does not.
        """
        try:
            self._connection.send_packed_command(self._connection.pack_commands(QUESTIONS))
            server, replication, _ = [self._connection.read_response(disable_decoding=True) for _ in QUESTIONS]
        except BaseException:
            self.close()
            raise
        parts = dict(PARTS.findall(server + replication))
        if parts.get(b"role") == b"slave":
            raise ReadOnlyError("Redis is a replica.")
        return b"/".join([parts.get(b"run_id", b""), parts.get(b"master_replid", b"")]).decode()

    def close(self) -> None:
        """Close the connection; the next question opens it again."""
        self._connection.disconnect()


def redis_breaker() -> Breaker:
    """Return the breaker of this process' connections to Redis."""
    breaker: Breaker = get_redis_connection("default").connection_pool.connection_kwargs["breaker"]
    return breaker


def read_identity() -> str:
    """Return the identity of the Redis that answers now, as `Inquirer.identity` does."""
    inquirer = Inquirer()
    try:
        return inquirer.identity()
    finally:
        inquirer.close()
