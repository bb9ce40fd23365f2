"""Exit with 0 while the program of this container answers: the image's health check.

A worker and beat answer nobody; their container ends with them. Whether work gets done is what
`featurehub_oldest_due_mark_age_seconds` says.
"""

import http.client
import os
import socket
import sys
from pathlib import Path

SECONDS = 2.0
POOLS = ("reads", "api", "admin")


class SocketConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket of a pool."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket in place of a port."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(self.path))


def connection_to(program: str) -> http.client.HTTPConnection:
    """Return a connection to a pool's socket, or to the front's port."""
    if program in POOLS:
        return SocketConnection(Path(os.environ.get("FEATUREHUB_LOCAL_DIR") or ".local") / f"{program}.sock")
    return http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8000), timeout=SECONDS)


def is_healthy(program: str) -> bool:
    """Return whether GET /healthz answers 200 within two seconds."""
    if program not in (*POOLS, "front"):
        return True
    connection = connection_to(program)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not is_healthy(os.environ.get("FEATUREHUB_PROGRAM", "front")))
