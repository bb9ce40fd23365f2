"""The servers under test as child processes, and their CPU time."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType

from django_redis import get_redis_connection

from benchmarks.machine import cpu_seconds
from featurehub.devserver.server import is_free

PROJECT = Path(__file__).resolve().parent.parent
FEAST = PROJECT / "benchmarks/.venv-feast/bin/feast"
SECONDS_TO_START = 60.0
# A read of nothing, and how many in a row say that every worker has loaded what reads need.
NOTHING = "/api/v1/customers/nobody/features/?names=nothing"
READS_IN_A_ROW = 50
# The path under which `benchmarks.switched` is switched.
SWITCH = "/switch/"
# The worker of both FeatureHub and the bare function. No server under test is pinned to a processor.
GRANIAN = "granian --interface wsgi --http 1 --no-ws --log-level warning --workers 1 --blocking-threads 1 --port $PORT"


class NotStarted(Exception):
    """A server under test that does not answer; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server; `headers` are those that a client must send. `pids` are those of the programs that serve."""

    name: str
    port: int
    pids: tuple[int, ...]
    headers: Mapping[str, str]

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes so far."""
        return sum(cpu_seconds(pid) for pid in self.pids)


@contextmanager
def featurehub(*, key: str, pool: str = "reads", workers: int = 1, redis_database: int = 0) -> Iterator[Server]:
    """Run a pool of FeatureHub as the Procfile does, with API keys checked, but on a port and without the front."""
    redis_url = f"{os.environ['REDIS_URL'].rpartition('/')[0]}/{redis_database}"
    environment = {"REDIS_URL": redis_url, "WEB_CONCURRENCY": str(workers)}
    headers = {"Authorization": f"Api-Key {key}"}
    command = f"{procfile(pool)} --host 127.0.0.1 --port $PORT"
    with running("featurehub", command=command, headers=headers, environment=environment) as server:
        wait_until_it_reads(server)
        yield server


@contextmanager
def celery() -> Iterator[None]:
    """Run the Procfile's worker and beat until the end of the block."""
    with started("worker", command=procfile("worker")), started("beat", command=procfile("beat")):
        yield


def empty_redis() -> None:
    """Empty Redis, and lift its memory limit and its file: it keeps none, as the features' Redis of compose.yaml."""
    client = get_redis_connection("default")
    client.flushall()
    client.config_set("maxmemory", 0, "appendonly", "no")


def procfile(name: str) -> str:
    """Return the command that the Procfile gives to a program."""
    lines = (PROJECT / "Procfile").read_text().splitlines()
    return next(line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: "))


@contextmanager
def feast(repository: Path) -> Iterator[Server]:
    """Run Feast's Python feature server with one worker.

    By default Feast restarts the worker every 1,000 requests; that is off.
    """
    command = f"{FEAST} --chdir {repository} serve --port $PORT --workers 1 --no-access-log --max-requests 0"
    with running("feast", command=command, headers={"Content-Type": "application/json"}) as server:
        yield server


@contextmanager
def floor() -> Iterator[Server]:
    """Run a bare WSGI function with its HMGET on granian."""
    command = f"{GRANIAN} benchmarks.floor:application"
    with running("floor", command=command, headers={}) as server:
        yield server


@contextmanager
def switched(*, key: str) -> Iterator[Server]:
    """Run the pool `reads` on granian, with a switch of what observes its reads."""
    # The front gives each request an id of this form.
    headers = {"Authorization": f"Api-Key {key}", "X-Request-ID": token_hex(16)}
    command = f"{GRANIAN} benchmarks.switched:application"
    with running("switched", command=command, headers=headers, environment={"FEATUREHUB_POOL": "reads"}) as server:
        wait_until_it_reads(server)
        yield server


@contextmanager
def running(
    name: str,
    *,
    command: str,
    headers: Mapping[str, str],
    environment: Mapping[str, str] = MappingProxyType({}),
    port: int | None = None,
) -> Iterator[Server]:
    """Run a server until the end of the block. `command` is for the shell and finds $PORT, a free one if not given."""
    port = port or free_port()
    with started(name, command=command, environment={**environment, "PORT": str(port)}) as process:
        wait_until_it_listens(process, port=port, log=log_of(name))
        yield Server(name=name, port=port, pids=(process.pid,), headers=headers)


def free_port() -> int:
    """Return a port on which no program listens."""
    return next(port for port in range(7000, 9000) if is_free(port))


@contextmanager
def started(
    name: str, *, command: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a shell's command as a process of its own until the end of the block, its output in a log."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with log_of(name).open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            cwd=PROJECT,
            env={**os.environ, "PATH": path, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
        if process.poll() is not None:
            raise NotStarted(f"{command} has ended:\n{log_of(name).read_text()[-2000:]}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def log_of(name: str) -> Path:
    """Return the path of a program's log."""
    return Path(os.environ["FEATUREHUB_LOCAL_DIR"]) / f"{name}.log"


def wait_until_it_listens(process: "subprocess.Popen[bytes]", *, port: int, log: Path) -> None:
    """Return when the process accepts connections. Raises NotStarted where it ends or takes too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise NotStarted(f"{process.args!r} does not answer:\n{log.read_text()[-2000:]}")


def wait_until_it_reads(server: Server) -> None:
    """Return when FeatureHub's workers have loaded what reads need. Raises NotStarted where that takes too long.

    Until then the pool `reads` answers 503, on which the front asks the pool `api`.
    """
    deadline = time.monotonic() + SECONDS_TO_START
    in_a_row = 0
    while in_a_row < READS_IN_A_ROW:
        if (status := status_of_read(server)) == 200:
            in_a_row += 1
        elif time.monotonic() > deadline:
            raise NotStarted(f"{server.name} answers a read with {status}:\n{log_of(server.name).read_text()[-2000:]}")
        else:
            in_a_row = 0
            time.sleep(0.1)


def status_of_read(server: Server) -> int:
    """Return the status of a read on a connection of its own, which any worker may take."""
    with closing(HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request("GET", NOTHING, headers=dict(server.headers))
        return connection.getresponse().status


def run_in_feast(*arguments: str | Path) -> None:
    """Run a script in Feast's own environment."""
    subprocess.run([FEAST.with_name("python"), *arguments], check=True, cwd=PROJECT)


def in_turn(sides: Sequence[str], *, rounds: int) -> Iterator[str]:
    """Yield A B C A B C …, so that a disturbance of the machine affects every side."""
    for _ in range(rounds):
        yield from sides
