"""A complete FeatureHub for the faults, in production's shape (each program apart) or under `make run`."""

import ctypes
import importlib.util
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from featurehub.devserver.postgres import Postgres
from featurehub.devserver.processes import command_line
from featurehub.devserver.server import Server
from featurehub.devserver.valkey import Valkey
from tests.at_once import PROJECT
from tests.faults.console import Console, running_console
from tests.ports import free_port
from tests.signals import kill_and_wait
from tests.web_programs import path_of_programs, program

PROGRAMS = ("front", "reads", "api", "admin", "worker", "beat")
SCOPES = [argument for scope in ("read", "write", "ingest") for argument in ("--scope", scope)]
# The table and the logs of the last run.
ARTEFACTS = PROJECT / ".local/artefacts"
SECONDS_TO_START = 120.0


class FaultUnavailable(Exception):
    """The fault can't be made on this machine; the message says why."""


class Site(ABC):
    """The servers, the programs, and an environment for others that use them."""

    shape: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.postgres = Postgres(folder / "postgres")
        self.valkey = Valkey(folder / "valkey")
        self.broker = self.valkey
        self.log = ARTEFACTS / f"faults-{self.shape.replace(' ', '-')}.log"
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")},
            "PATH": path_of_programs(),
            "PORT": str(self.port),
            "FEATUREHUB_LOCAL_DIR": str(folder),
            "DJANGO_SETTINGS_MODULE": "featurehub.settings",
            "SECRET_KEY": "tests",
            "ALLOWED_HOSTS": "127.0.0.1",
            "FEATUREHUB_HTTPS": "0",
            "WEB_CONCURRENCY": "2",
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }
        self.key = ""
        self.console: Console
        # What a fault leaves to be undone when everything has ended.
        self.at_the_end = ExitStack()

    @abstractmethod
    def start_program(self, name: str, **variables: str) -> None:
        """See that a program that was killed runs again."""

    @abstractmethod
    def start_server(self, server: Server) -> None:
        """See that a server that was killed runs again, with the data that its folder has."""

    def set_up(self, stack: ExitStack) -> None:
        """Migrate, make a key, and run a console. The servers run already."""
        self.manage("migrate", "--verbosity", "0")
        self.key = self.manage("create_api_key", "faults", *SCOPES).strip()
        self.console = stack.enter_context(running_console(self.environment, folder=str(PROJECT)))

    def manage(self, *arguments: str) -> str:
        """Return the output of a `manage.py` command."""
        command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
        return subprocess.run(command, env=self.environment, check=True, text=True, stdout=subprocess.PIPE).stdout

    def pid_of(self, name: str) -> int:
        """Return the process of a program, which leads a session of its own."""
        return next(pid for pid in self.processes() if os.getsid(pid) == pid and is_program(pid, name))

    def processes(self) -> list[int]:
        """Return every process of the programs: the site's folder is in their arguments or environment."""
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and int(folder.name) != os.getpid() and self._owns(folder):
                    found.append(int(folder.name))
        return found

    def _owns(self, process: Path) -> bool:
        ours = f"{self.folder}".encode()
        arguments = (process / "cmdline").read_bytes()
        variables = (process / "environ").read_bytes().split(b"\0")
        return b"FEATUREHUB_LOCAL_DIR=" + ours in variables or ours + b"/front/" in arguments

    def running_programs(self) -> dict[int, str]:
        """Return the processes of the programs that run, with their names."""
        return {pid: name for pid in self.processes() for name in PROGRAMS if is_program(pid, name)}

    def kill_what_is_left(self) -> None:
        """Leave nothing running after the test, whatever a fault has made of it."""
        for pid in self.running_programs():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_program(self, name: str) -> None:
        """Send SIGKILL to a program and to what it has started."""
        os.killpg(self.pid_of(name), signal.SIGKILL)

    def kill_server(self, server: Server) -> None:
        """Send SIGKILL to a server's main process, and return when it is gone."""
        kill_and_wait(server)

    def is_in_order(self) -> bool:
        """Return whether /readyz answers 200, the servers, the broker and the migrations being there."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def wait_until_in_order(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not self.is_in_order():
            if time.monotonic() > deadline:
                raise AssertionError(f"FeatureHub is not in order:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.2)


def is_program(pid: int, name: str) -> bool:
    """Return whether the process is the program of this name in the Procfile."""
    arguments = command_line(pid)
    if name == "front":
        return "nginx" in arguments
    if name in ("worker", "beat"):
        return "celery" in arguments and f" {name}" in arguments
    return "granian" in arguments and f"/{name}.sock" in arguments


def libfaketime() -> str:
    """Return the library that gives a program another clock. Raise FaultUnavailable where it can't be loaded."""
    package = importlib.util.find_spec("libfaketime")  # located, never imported
    if package is None or package.origin is None:
        raise FaultUnavailable("The package libfaketime is not installed.")
    library = next(Path(package.origin).parent.rglob("libfaketime.so.1"), None)
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        raise FaultUnavailable(f"libfaketime can't be loaded: {error}") from error
    return str(library)


class Production(Site):
    """Each program of the Procfile is a process of its own; PostgreSQL, the features and the broker are three servers.

    Nobody starts again what dies but the test.
    """

    shape = "apart"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.broker = Valkey(folder / "broker")
        self._programs: dict[str, ExitStack] = {}

    @contextmanager
    def running(self) -> Iterator["Production"]:
        with self.at_the_end, ExitStack() as stack:
            self.environment |= {
                "DATABASE_URL": stack.enter_context(self.postgres.shared()),
                "REDIS_URL": stack.enter_context(self.valkey.shared()),
                "CELERY_BROKER_URL": stack.enter_context(self.broker.shared()),
            }
            self.set_up(stack)
            self._output = stack.enter_context(self.log.open("wb"))
            try:
                for name in PROGRAMS:
                    self.start_program(name)
                self.wait_until_in_order()
                yield self
            finally:
                for one in self._programs.values():
                    one.close()
                self.kill_what_is_left()

    def start_program(self, name: str, **variables: str) -> None:
        self.stop_program(name)
        started = self._programs[name] = ExitStack()
        environment = self.environment | variables
        started.enter_context(program(name, environment=environment, output=self._output.fileno()))

    def stop_program(self, name: str) -> None:
        """Send SIGTERM to a program that runs, and return when it is gone."""
        if name in self._programs:
            self._programs[name].close()

    @contextmanager
    def another(self, name: str) -> Iterator[None]:
        """Run a program a second time within the block."""
        with program(name, environment=self.environment, output=self._output.fileno()):
            yield

    @contextmanager
    def fake_clock(self, name: str) -> Iterator[Callable[[float], None]]:
        """Run a program with a clock of its own within the block; yield a function that sets how far it is ahead."""
        offset = self.folder / "clock"

        def set_offset(seconds: float) -> None:
            offset.with_suffix(".new").write_text(f"{seconds:+}")
            offset.with_suffix(".new").rename(offset)

        set_offset(0.0)
        self.start_program(
            name, LD_PRELOAD=libfaketime(), FAKETIME_TIMESTAMP_FILE=str(offset), FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )  # fmt: skip
        yield set_offset
        self.start_program(name)

    def start_server(self, server: Server) -> None:
        server.start_again(pause=lambda: time.sleep(0.02))


class MakeRun(Site):
    """Everything under the supervisor of `make run`, which starts again what dies. Valkey is the broker, too."""

    shape = "make run"

    @contextmanager
    def running(self) -> Iterator["MakeRun"]:
        with ExitStack() as stack:
            # The servers are shared, so that they are there before and after the supervisor.
            urls = {
                "DATABASE_URL": stack.enter_context(self.postgres.shared()),
                "REDIS_URL": stack.enter_context(self.valkey.shared()),
            }
            own = self.environment
            self.environment = own | urls
            self.set_up(stack)
            self.environment = own
            self._output = stack.enter_context(self.log.open("wb"))
            self.start_supervisor()
            try:
                self.wait_until_in_order()
                yield self
            finally:
                self.supervisor.terminate()
                self.supervisor.wait(60)
                self.kill_what_is_left()

    def start_supervisor(self) -> None:
        self.supervisor = subprocess.Popen(
            [sys.executable, "-m", "featurehub.devserver.run", "--skip-set-up", "--restart-after", "0.5"],
            cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
        )  # fmt: skip

    def start_program(self, name: str, **variables: str) -> None:
        """Leave it to the supervisor."""

    def start_server(self, server: Server) -> None:
        """Leave it to the supervisor."""
