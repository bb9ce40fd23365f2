"""HMGETs of many keys in one round trip, without redis-py's cost for each command (decision 5).

redis-py opens the connection (password, database, TLS, timeouts), parses the replies and names the errors. The commands
are joined as bytes here: most of the cost of redis-py's own `hmget` is in building a command and looking for its
callbacks.
"""

import os
import threading
import weakref
from collections.abc import Sequence
from functools import lru_cache

from django.conf import settings
from redis.exceptions import ConnectionError as RedisConnectionError

from features.online.identity import ask_identity, new_connection

Row = list[bytes | None]


class ReadConnection:
    """A connection by which one thread reads hashes. A read opens it where it is not open, as after an error.

    In a pool, `identity` is that of the Redis that it was opened to; None before, and elsewhere.
    """

    def __init__(self) -> None:
        self._connection = new_connection()
        self.identity: str | None = None
        # Close it with this object. redis-py's connections refer to themselves, so they would wait for the garbage
        # collector.
        weakref.finalize(self, self._connection.disconnect)

    def hmget_each(self, keys: Sequence[str], fields: tuple[str, ...]) -> list[Row]:
        """Return a row for each key; ask once more if Redis had closed the connection. Raises redis-py's exceptions."""
        commands = pack_hmgets(keys, fields)
        if self._connection.is_connected:
            try:
                return self._ask(commands, replies=len(keys))
            except RedisConnectionError:  # Redis may have closed it: once more
                pass
        if settings.POOL:
            self.identity = ask_identity(self._connection)
        return self._ask(commands, replies=len(keys))

    def _ask(self, commands: bytes, *, replies: int) -> list[Row]:
        try:
            # No PING first: a connection that Redis had closed is opened again.
            self._connection.send_packed_command([commands], check_health=False)
            return [self._connection.read_response(disable_decoding=True) for _ in range(replies)]
        except BaseException:
            # Replies may be on their way, which the next read would take for its own.
            self._connection.disconnect()
            raise


class ThreadConnection(threading.local):
    """The connection of each thread, made at its first read."""

    connection: ReadConnection | None = None


thread_connection = ThreadConnection()
# A forked child shares the socket with its parent, and would read the replies to the parent's commands.
os.register_at_fork(after_in_child=lambda: setattr(thread_connection, "connection", None))


@lru_cache(maxsize=256)
def around_the_key(fields: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Return the bytes of an HMGET before the length of its key, and after the key."""
    encoded = [field.encode() for field in fields]
    return (
        b"*%d\r\n$5\r\nHMGET\r\n$" % (len(fields) + 2),
        b"".join([b"\r\n", *(b"$%d\r\n%b\r\n" % (len(field), field) for field in encoded)]),
    )


def pack_hmgets(keys: Sequence[str], fields: tuple[str, ...]) -> bytes:
    """Return the bytes of an HMGET for each key."""
    before, after = around_the_key(fields)
    if len(keys) == 1:  # in half the time
        key = keys[0].encode()
        return b"%b%d\r\n%b%b" % (before, len(key), key, after)
    return b"".join([b"%b%d\r\n%b%b" % (before, len(key), key, after) for key in map(str.encode, keys)])


def is_of(identity: str) -> bool:
    """Return whether this thread reads from the Redis with this identity, or has not read yet.

    A connection to another one is closed: the next read finds out to which it is opened again.
    """
    connection = thread_connection.connection
    if connection is None or connection.identity in (None, identity):
        return True
    thread_connection.connection = None
    return False


def hmget_each(keys: Sequence[str], fields: tuple[str, ...]) -> list[Row]:
    """Return a row for each key: its fields in the order asked, None for an absent one.

    Raises redis-py's exceptions.
    """
    connection = thread_connection.connection
    if connection is None:
        connection = thread_connection.connection = ReadConnection()
    return connection.hmget_each(keys, fields)
