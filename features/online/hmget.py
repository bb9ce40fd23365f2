"""HMGETs of many keys in one round trip, without redis-py's cost for each command (decision 5).

redis-py opens the connection (password, database, TLS) and names the errors. The commands are joined as bytes here, as
most of the cost of redis-py's own `hmget` is in building a command and looking for its callbacks.
"""

import os
import socket
import ssl
import struct
import threading
import weakref
from collections.abc import Sequence
from functools import lru_cache

import hiredis
from django.conf import settings
from redis.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from features.online.identity import ask_identity, new_connection

Row = list[bytes | None]
BUFFER_BYTES = 65_536


class ReadConnection:
    """A connection by which one thread reads hashes. A read opens it where it is not open, as after an error.

    In a pool, `identity` is that of the Redis that it was opened to; None before, and elsewhere.
    """

    def __init__(self) -> None:
        self._connection = new_connection()
        self.identity: str | None = None
        self._buffer = bytearray(BUFFER_BYTES)
        # Close it with this object. redis-py's connections refer to themselves, so they would wait for the garbage
        # collector.
        weakref.finalize(self, self._connection.disconnect)

    def hmget_each(self, keys: Sequence[str], fields: tuple[str, ...]) -> list[Row]:
        """Return a row for each key; ask once more if Redis had closed the connection. Raises redis-py's exceptions."""
        before, after = around_the_key(fields)
        encoded = [key.encode() for key in keys]
        commands = b"".join([b"%b$%d\r\n%b\r\n%b" % (before, len(key), key, after) for key in encoded])
        was_open = self._connection.is_connected
        try:
            return self._ask(commands, replies=len(keys))
        except RedisConnectionError:
            if not was_open:
                raise
            return self._ask(commands, replies=len(keys))

    def _ask(self, commands: bytes, *, replies: int) -> list[Row]:
        try:
            if self._connection.is_connected:
                self._connection.refuse_while_open()
            else:
                self._open()
            # No PING first: a connection that Redis had closed is opened again.
            self._socket.sendall(commands)
            return [self._read_row() for _ in range(replies)]
        except BaseException as error:
            # Replies may be on their way, which the next read would take for its own.
            self._connection.disconnect()
            if isinstance(error, OSError):
                raise as_redis_error(error) from error
            raise

    def _open(self) -> None:
        """Open the connection, and let the system keep its timeout: Python would ask it before each call."""
        if settings.POOL:
            self.identity = ask_identity(self._connection)
        else:
            self._connection.connect()
        self._socket = self._connection._sock
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=DefaultParser.parse_error)
        seconds = self._socket.gettimeout()
        if seconds is not None and not isinstance(self._socket, ssl.SSLSocket):
            self._socket.settimeout(None)
            limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, limit)

    def _read_row(self) -> Row:
        """Return the next reply, which is a list. Raise it if it is an error."""
        reader, buffer = self._reader, self._buffer
        while type(reply := reader.gets()) is not list:
            if isinstance(reply, RedisError):
                raise reply
            if reply is False:  # there is no whole reply yet; anything else is no reply, but a message of Redis' own
                received = self._socket.recv_into(buffer)
                if not received:
                    raise RedisConnectionError("Redis has closed the connection.")
                # Its annotation leaves bytearrays out, which it takes, as from redis-py.
                reader.feed(buffer, 0, received)  # type: ignore[arg-type]
        return reply


def as_redis_error(error: OSError) -> RedisError:
    """Return a socket's error as redis-py names it."""
    if isinstance(error, BlockingIOError | TimeoutError):
        return RedisTimeoutError("Timeout reading from socket")
    return RedisConnectionError(f"Error while reading from socket: {error}")


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
