"""Requests at fixed moments, whether or not the earlier ones were answered: the latency that a client has at this rate.

One thread over bare sockets. A generator with threads and http.client used more CPU per request than the server did,
and its 99th percentile was that of its own delays.
"""

import select
import socket
import time
from collections.abc import Mapping, Sequence

from benchmarks.load import SECONDS_TO_ANSWER, Load, Request, summary

BYTES_PER_RECEIVE = 262_144
# A server that is so many seconds behind takes fewer requests than are due.
SECONDS_PAST_SATURATION = 2.0
# So does one that needs so many times as long for all of them.
LATE_BY = 1.1


class BadAnswer(Exception):
    """An answer that can't be parsed, or the end of the connection."""


class Connection:
    """A connection with at most one request on its way, which was due `due` seconds after the start."""

    due: float

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS_TO_ANSWER)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, *, due: float) -> None:
        """Send a request that is due at this time."""
        self.due, self.received, self.length = due, bytearray(), 0
        self.socket.sendall(request)

    def status(self) -> int | None:
        """Read what has arrived. Return the status of a complete answer, else None. Raises BadAnswer or OSError."""
        arrived = self.socket.recv(BYTES_PER_RECEIVE)
        if not arrived:
            raise BadAnswer
        self.received += arrived
        if not self.length and (end := self.received.find(b"\r\n\r\n")) > 0:
            self.length = end + 4 + content_length(self.received[:end])
        return int(self.received[9:12]) if 0 < self.length <= len(self.received) else None


class Pace:
    """A load of `number` requests, `per_second`: sends those that are due on idle connections, reads the answers."""

    def __init__(
        self, port: int, *, requests: Sequence[bytes], per_second: float, number: int, connections: int
    ) -> None:
        self.requests, self.per_second, self.number = requests, per_second, number
        self.idle = [Connection(port) for _ in range(connections)]
        self.asking: list[Connection] = []
        self.sent = 0
        self.latencies: list[float] = []
        self.errors = 0

    def run(self) -> Load:
        """Send all requests and return the figures; stop early where the server can't keep up.

        Requests without an answer SECONDS_TO_ANSWER after the last one was due are errors.
        """
        start = time.monotonic()
        end = self.number / self.per_second + SECONDS_TO_ANSWER
        while len(self.latencies) < self.number and (now := time.monotonic() - start) < end:
            if self.sent < self.number and now - self.sent / self.per_second > SECONDS_PAST_SATURATION:
                return self.figures(seconds=now, unanswered=0, is_past_saturation=True)
            self.send_due(now=now)
            for connection in select.select(self.asking, [], [], self.seconds_to_wait(now=now))[0]:
                self.take_in(connection, start=start)
        return self.figures(seconds=time.monotonic() - start, unanswered=self.number - len(self.latencies))

    def figures(self, *, seconds: float, unanswered: int, is_past_saturation: bool = False) -> Load:
        """Close the connections and return the figures."""
        for connection in self.idle + self.asking:
            connection.socket.close()
        return summary(
            self.latencies + [SECONDS_TO_ANSWER] * unanswered,
            errors=self.errors + unanswered,
            seconds=seconds,
            is_past_saturation=is_past_saturation or seconds > LATE_BY * self.number / self.per_second,
        )

    def send_due(self, *, now: float) -> None:
        """Send the requests that are due, as far as connections are idle."""
        while self.idle and self.sent < self.number and (due := self.sent / self.per_second) <= now:
            connection = self.idle.pop()
            connection.send(self.requests[self.sent % len(self.requests)], due=due)
            self.asking.append(connection)
            self.sent += 1

    def seconds_to_wait(self, *, now: float) -> float:
        """Return the seconds until the next request is due, where a connection is idle; else a short time."""
        if self.idle and self.sent < self.number:
            return max(0.0, self.sent / self.per_second - now)
        return 0.1

    def take_in(self, connection: Connection, *, start: float) -> None:
        """Read from a connection; where its answer is complete, note the latency and make the connection idle again."""
        try:
            status = connection.status()
        except (OSError, BadAnswer):
            status = 0
        if status is None:
            return
        self.latencies.append(time.monotonic() - start - connection.due)
        self.errors += status // 100 != 2
        self.asking.remove(connection)
        self.idle.append(connection if status else Connection(connection.port))


def pace(
    port: int, requests: Sequence[Request], *, headers: Mapping[str, str], number: int, per_second: float,
    connections: int = 16,
) -> Load:  # fmt: skip
    """Return the figures of `number` requests at a fixed rate.

    Latency counts from the moment a request was due, so a server that stalls is charged for the requests that waited.
    """
    texts = [as_bytes(request, headers=headers) for request in requests]
    return Pace(port, requests=texts, per_second=per_second, number=number, connections=connections).run()


def as_bytes(request: Request, *, headers: Mapping[str, str]) -> bytes:
    """Return the bytes of a request."""
    body = request.body.encode()
    given = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{request.method} {request.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def content_length(head: bytes) -> int:
    """Return the length of an answer's body. Raises BadAnswer where the head does not tell it."""
    _, found, rest = head.lower().partition(b"content-length:")
    if not found:
        raise BadAnswer(head)
    return int(rest.partition(b"\r")[0])
