"""The connections to Redis: after one of them has waited in vain, the others do not wait (decision 16)."""

import sys
from collections.abc import Iterable
from typing import Any

from redis.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from featurehub.lib.breaker import Breaker

# The second is Python's own, which sockets raise.
TIMEOUTS = (RedisTimeoutError, TimeoutError)


class BreakerConnection(AbstractConnection):
    """A connection that fails at once while the breaker is open, and opens it after a timeout.

    A Redis that refuses connections needs no breaker: it does so at once.
    """

    def __init__(self, *args: Any, breaker: Breaker, **kwargs: Any) -> None:
        self.breaker = breaker
        super().__init__(*args, **kwargs)

    def connect(self) -> None:
        self._refuse_while_open()
        super().connect()  # type: ignore[no-untyped-call]

    def send_packed_command(self, command: str | Iterable[bytes], check_health: bool = True) -> None:
        self._refuse_while_open()
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]

    def disconnect(self, *args: Any, **kwargs: Any) -> None:
        """Close the connection, which redis-py does while it handles a timeout, of any kind and before it raises it.

        So the many replies that come in time need no look at each of them.
        """
        error = sys.exception()
        if isinstance(error, TIMEOUTS):
            self.breaker.open(error)
        super().disconnect(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _refuse_while_open(self) -> None:
        if self.breaker.is_open:
            raise RedisConnectionError("Redis did not answer a moment ago.")


class TcpConnection(BreakerConnection, Connection):
    """A connection to redis://."""


class TlsConnection(BreakerConnection, SSLConnection):
    """A connection to rediss://."""


class UnixConnection(BreakerConnection, UnixDomainSocketConnection):
    """A connection to unix://."""


WITH_BREAKER = {Connection: TcpConnection, SSLConnection: TlsConnection, UnixDomainSocketConnection: UnixConnection}


class RedisPool(ConnectionPool):
    """redis-py's pool of connections, which share a breaker."""

    def __init__(self, connection_class: type[AbstractConnection] = Connection, **kwargs: Any) -> None:
        breaker = Breaker("Redis", probe=self.read_once)
        super().__init__(WITH_BREAKER[connection_class], breaker=breaker, **kwargs)

    def read_once(self) -> None:
        """Raise redis-py's exceptions if Redis does not answer on a new connection.

        A read, since a Redis with a full disk refuses a PING.
        """
        connection = self.connection_class(**self.connection_kwargs)
        try:
            connection.connect()
            connection.send_command("EXISTS", "probe")
            connection.read_response()
        finally:
            connection.disconnect()
