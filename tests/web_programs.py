"""The web programs of the Procfile as processes, on the test database and the test run's Redis."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.at_once import PROJECT, environment_of_tests
from tests.ports import free_port

WEB = ("front", "reads", "api", "admin")
SECONDS_TO_START = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPrograms:
    """The running programs by name, and the port of the front."""

    port: int
    processes: "dict[str, subprocess.Popen[bytes]]"
    log: Path

    def status_of(self, method: str, path: str, *, key: str = "", body: str | None = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers={"Authorization": f"Api-Key {key}"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def kill(self, name: str) -> None:
        """Send SIGKILL to a program and what it has started."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)


@contextmanager
def web_programs(folder: Path, **variables: str) -> Iterator[WebPrograms]:
    """Run the front and the pools until the end of the block, one worker in each."""
    port = free_port()
    environment = {
        **environment_of_tests(),
        "PATH": path_of_programs(),
        "PORT": str(port),
        "FEATUREHUB_LOCAL_DIR": str(folder),
        "WEB_CONCURRENCY": "1",
        **variables,
    }
    log = folder / "log"
    with ExitStack() as stack, log.open("wb") as output:
        started: dict[str, subprocess.Popen[bytes]] = {}
        for name in WEB:
            started[name] = stack.enter_context(program(name, environment=environment, output=output.fileno()))
        running = WebPrograms(port=port, processes=started, log=log)
        wait_until_all_answer(running)
        yield running


def path_of_programs() -> str:
    """Return a PATH on which the programs of this Python's environment come first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@contextmanager
def program(name: str, *, environment: dict[str, str], output: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program of the Procfile in a process group of its own, none of which is left after the block."""
    lines = dict(line.split(": ", 1) for line in (PROJECT / "Procfile").read_text().splitlines())
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {lines[name]}"],
        cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_all_answer(programs: WebPrograms) -> None:
    """Return when every pool answers. The reads pool's own answer is 401: no key was sent."""
    deadline = time.monotonic() + SECONDS_TO_START
    expected = {"/healthz": 200, "/api/v1/customers/c1/vector/": 401, "/api/v1/weights/": 401, "/admin/login/": 200}
    while time.monotonic() < deadline:
        sockets = all((programs.log.parent / f"{name}.sock").exists() for name in WEB[1:])
        with suppress(OSError, http.client.HTTPException):
            if sockets and all(programs.status_of("GET", path) == status for path, status in expected.items()):
                return
        time.sleep(0.2)
    raise AssertionError(f"The web programs do not answer:\n{programs.log.read_text()[-4000:]}")
