"""HMGETs of many keys in one round trip, without redis-py's cost for each command (decision 5).

redis-py opens the connection (password, database, TLS, timeouts) and handles failures. In between, commands are joined
as bytes and hiredis parses the replies.
"""

import os
import threading
import weakref
from collections.abc import Sequence
from functools import lru_cache
from socket import socket
from typing import Any, cast

import hiredis
from django_redis import get_redis_connection
from redis.exceptions import TimeoutError as RedisTimeoutError

Row = list[bytes | None]
BYTES_PER_RECEIVE = 65_536


class UnexpectedReply(Exception):
    """A reply that is not a row: an error, or the end of a connection that Redis had closed."""


class ReadConnection:
    """A connection by which one thread reads hashes."""

    def __init__(self) -> None:
        pool = get_redis_connection("default").connection_pool
        connection: Any = pool.connection_class(**pool.connection_kwargs)
        # Close it with this object. redis-py's connections refer to themselves, so they would wait for the garbage
        # collector.
        weakref.finalize(self, connection.disconnect)
        connection.connect()
        self._socket: socket = connection._sock
        self._replies = hiredis.Reader()

    def hmget_each(self, keys: Sequence[str], fields: tuple[str, ...]) -> list[Row]:
        """Return a row for each key: its fields in the order asked, None for an absent one.

        Raises UnexpectedReply, or redis-py's TimeoutError. After any exception this connection must not be used again.
        """
        before, after = around_the_key(fields)
        encoded = [key.encode() for key in keys]
        try:
            self._socket.sendall(b"".join([b"%b$%d\r\n%b\r\n%b" % (before, len(key), key, after) for key in encoded]))
            return [self._next_row() for _ in keys]
        except TimeoutError as error:
            raise RedisTimeoutError("Redis does not answer.") from error
        except OSError as error:
            raise UnexpectedReply from error

    def _next_row(self) -> Row:
        """Return the next reply. Raises UnexpectedReply where it is not a row."""
        while (reply := self._replies.gets()) is False:
            received = self._socket.recv(BYTES_PER_RECEIVE)
            if not received:
                raise UnexpectedReply
            self._replies.feed(received)
        if type(reply) is not list:
            raise UnexpectedReply
        return cast(Row, reply)


class ThreadConnection(threading.local):
    """The connection of each thread, made at its first read."""

    connection: ReadConnection | None = None


thread_connection = ThreadConnection()
# A forked child shares the socket with its parent, and would read the replies to the parent's commands.
os.register_at_fork(after_in_child=lambda: setattr(thread_connection, "connection", None))


@lru_cache(maxsize=256)
def around_the_key(fields: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Return the bytes of an HMGET before its key and after it."""
    encoded = [field.encode() for field in fields]
    return (
        b"*%d\r\n$5\r\nHMGET\r\n" % (len(fields) + 2),
        b"".join([b"$%d\r\n%b\r\n" % (len(field), field) for field in encoded]),
    )


def hmget_each(keys: Sequence[str], fields: tuple[str, ...]) -> list[Row]:
    """Return a row for each key: its fields in the order asked, None for an absent one.

    Where the thread's own connection fails, redis-py repeats the commands: it connects again where Redis had closed the
    connection, and raises the exception of its own where Redis replies with an error. Raises redis-py's exceptions.
    """
    connection, thread_connection.connection = thread_connection.connection, None
    try:
        connection = connection or ReadConnection()
        rows = connection.hmget_each(keys, fields)
    except UnexpectedReply:
        return ask_redis_py(keys, fields)
    thread_connection.connection = connection
    return rows


def ask_redis_py(keys: Sequence[str], fields: tuple[str, ...]) -> list[Row]:
    """Return the rows as redis-py's client reads them."""
    with get_redis_connection("default").pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hmget(key, list(fields))
        rows: list[Row] = pipeline.execute()
        return rows
