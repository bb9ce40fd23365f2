"""The base class of the embedded servers: found or started, shared by several programs, stopped by the last one."""

import errno
import fcntl
import os
import random
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from featurehub.devserver import processes
from featurehub.devserver.secret_files import write_private

# Ports that few programs use. Those from 32768 on are given to outgoing connections.
_PORTS = range(15_000, 25_000)
_SECONDS_TO_START = 120.0
_SECONDS_TO_STOP = 60.0
_SECONDS_BETWEEN_LOOKS = 0.02


class EmbeddedServerError(Exception):
    """An embedded server is not available; the message says why, and what to do."""


class Server(ABC):
    """A server with all its files in one folder, listening on 127.0.0.1 only."""

    name: str
    stop_signal: signal.Signals
    # Texts in the log: before the reason of a failure; if the port is in use; if a killed server is not gone yet.
    failure_mark: str
    busy_port_message: str
    passing_message: str

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.log = self.home / "log"
        self.pid_file = self.home / "pid"
        self._port_file = self.home / "port"

    @property
    @abstractmethod
    def url(self) -> str:
        """Return the URL of the running server, password included."""

    @property
    @abstractmethod
    def own_argument(self) -> str:
        """Return the part of the command line that distinguishes this server from all other processes."""

    @abstractmethod
    def launch(self) -> None:
        """Write the files that the server needs and start it, without waiting."""

    @abstractmethod
    def is_ready(self, pid: int) -> bool:
        """Return whether the server with this pid answers queries."""

    @property
    def port(self) -> int:
        return int(self._port_file.read_text())

    def pid(self) -> int | None:
        """Return the pid of the running server of this folder, or None."""
        return processes.find_process(self.pid_file, argument=self.own_argument)

    @contextmanager
    def shared(self) -> Iterator[str]:
        """Yield the URL of the server, which runs at least until the block ends.

        The first user starts it and the last one stops it. Each user holds a shared lock on a file. The kernel releases
        the lock of a killed program, so that there is no count that could be wrong.
        """
        self.home.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file("users") as users:
            try:
                with self._changing():
                    fcntl.flock(users, fcntl.LOCK_SH)
                    self._ensure_running(choose_port=self._choose_port, pause=_sleep_a_moment)
                yield self.url
            finally:
                with self._changing():
                    if _is_last(users):
                        self._stop()

    def start_again(self, *, pause: Callable[[], None]) -> None:
        """Start the server, which died while we share it, on the same port: programs have its URL.

        `pause` sleeps for a moment between two looks at the server, and may raise an error to end the attempt.
        """
        with self._changing():
            self._ensure_running(choose_port=lambda: None, pause=pause)

    def _lock_file(self, suffix: str) -> IO[str]:
        """Open a file beside the folder, which may itself belong to the user that the server runs as."""
        path = self.home.with_name(f"{self.home.name}.{suffix}")
        return open(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let only one program at a time start or stop the server."""
        with self._lock_file("lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _ensure_running(self, *, choose_port: Callable[[], None], pause: Callable[[], None]) -> None:
        """Use a server that runs, wait for one that is starting or stopping, or start one."""
        deadline = time.monotonic() + _SECONDS_TO_START
        log_read = None
        while time.monotonic() < deadline:
            pid = self.pid()
            if pid is None:
                if log_read is not None:
                    self._judge_failure(self._log_since(log_read))
                log_read = self.log.stat().st_size if self.log.exists() else 0
                self._make_home()
                choose_port()
                self.launch()
            elif self.is_ready(pid):
                return
            pause()
        raise EmbeddedServerError(f"{self.name} was not ready after {_SECONDS_TO_START:.0f} s; its log is {self.log}.")

    def _judge_failure(self, message: str) -> None:
        """Return if another attempt can succeed, else raise EmbeddedServerError."""
        if self.passing_message in message:
            time.sleep(0.5)
        elif self.busy_port_message not in message:
            reasons = [line for line in message.splitlines() if self.failure_mark in line] or message.splitlines()
            reason = reasons[-1].partition(self.failure_mark)[2].strip() if reasons else "nothing"
            raise EmbeddedServerError(f"{self.name} did not start; its log, {self.log}, says: {reason}")

    def _log_since(self, position: int) -> str:
        with self.log.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")

    def _make_home(self) -> None:
        """Make the folder, and let only its owner enter it, also where an earlier version made it."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        self.home.chmod(0o700)

    def _choose_port(self) -> None:
        """Choose a free port: that of the last run if possible, so that its URL stays valid."""
        with suppress(FileNotFoundError, ValueError):
            if is_free(self.port):
                return
        free = next(port for port in random.sample(_PORTS, len(_PORTS)) if is_free(port))
        write_private(self._port_file, str(free))

    def _stop(self) -> None:
        pid = self.pid()
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, self.stop_signal)
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while self.pid() is not None:
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"{self.name} (process {pid}) does not stop; its log is {self.log}.")
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _sleep_a_moment() -> None:
    time.sleep(_SECONDS_BETWEEN_LOOKS)


def is_free(port: int) -> bool:
    """Return whether a server could listen on 127.0.0.1:port now. Raise PermissionError if we may not."""
    with socket.socket() as probe:
        # As servers do: lingering connections to the last server do not occupy a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
