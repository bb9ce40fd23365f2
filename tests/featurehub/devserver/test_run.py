"""The supervisor of `make run`, with small programs in place of web, worker and beat."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from featurehub.devserver.postgres import Postgres
from featurehub.devserver.processes import command_line
from featurehub.devserver.valkey import Valkey

PROJECT = Path(__file__).resolve().parents[3]
# No program here connects to these.
NO_SERVERS = {"DATABASE_URL": "postgresql://nowhere/nothing", "REDIS_URL": "redis://nowhere"}
# Each program writes its pid to a file, so that the test can see whether it lives.
PROGRAMS = {
    "web": """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
""",
    "sleeper": "time.sleep(600)",
    "parent": """
if os.fork() == 0:
    note_pid()
    time.sleep(600)
os.wait()
""",
    "stubborn": """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("here I stay")
time.sleep(600)
""",
    "failing": "sys.exit(3)",
}
NOTE_PID = """
import os, signal, sys, time
def note_pid():
    with open(__file__ + ".pids", "a") as file:
        file.write(f"{os.getpid()}\\n")
note_pid()
"""


@contextmanager
def run(folder: Path, *programs: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor of the programs; kill it at the end of the block if it still lives."""
    for name in programs:
        (folder / f"{name}.py").write_text(NOTE_PID + PROGRAMS[name])
    procfile = folder / "Procfile"
    procfile.write_text("# a comment\n\n" + "".join(f"{name}: python {folder}/{name}.py\n" for name in programs))
    with subprocess.Popen(
        [sys.executable, "-m", "featurehub.devserver.run", "--skip-set-up", "--procfile", str(procfile)],
        cwd=PROJECT,
        env={"FEATUREHUB_LOCAL_DIR": str(folder / "local"), "PORT": str(free_port()), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def read_until(supervisor: subprocess.Popen[str], text: str) -> str:
    """Return the output up to the line with the text."""
    lines = ""
    for line in supervisor.stdout:
        lines += line
        if text in line:
            return lines
    raise AssertionError(f"ended without {text!r}:\n{lines}")


def pids(folder: Path, *, count: int) -> list[int]:
    """Return the pids that the programs wrote, once there are as many as expected."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [int(line) for path in folder.glob("*.pids") for line in path.read_text().splitlines()]
        if len(found) == count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{count} programs expected, not {len(found)}")


def lives(pid: int) -> bool:
    """Return whether the process exists and is no zombie."""
    return command_line(pid) != ""


def assert_all_end(processes: list[int], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(map(lives, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_when_it_is_ready_and_a_signal_ends_every_program_and_what_they_started(
    tmp_path: Path, number: signal.Signals
) -> None:
    with run(tmp_path, "web", "sleeper", "parent", **NO_SERVERS) as supervisor:
        read_until(supervisor, "FeatureHub is ready at http://127.0.0.1:")
        programs = pids(tmp_path, count=4)
        supervisor.send_signal(number)
        rest = supervisor.communicate(timeout=10)[0]
        assert supervisor.returncode == 0
        assert rest.endswith("Stopping\n")
        assert not any(map(lives, programs))


def test_a_signal_passed_on_by_several_is_one_signal(tmp_path: Path) -> None:
    with run(tmp_path, "web", **NO_SERVERS) as supervisor:
        read_until(supervisor, "is ready")
        supervisor.send_signal(signal.SIGINT)
        supervisor.send_signal(signal.SIGINT)
        supervisor.communicate(timeout=10)
        assert supervisor.returncode == 0


def test_a_second_ctrl_c_kills_what_does_not_want_to_end(tmp_path: Path) -> None:
    with run(tmp_path, "stubborn", **NO_SERVERS) as supervisor:
        assert "stubborn | here I stay" in read_until(supervisor, "here I stay")
        supervisor.send_signal(signal.SIGINT)
        time.sleep(1.2)
        assert supervisor.poll() is None
        supervisor.send_signal(signal.SIGINT)
        supervisor.communicate(timeout=5)
        assert supervisor.returncode == 130
        assert_all_end(pids(tmp_path, count=1), seconds=1)


def test_a_program_that_ends_ends_all_with_a_sentence(tmp_path: Path) -> None:
    with run(tmp_path, "sleeper", "failing", **NO_SERVERS) as supervisor:
        output = supervisor.communicate(timeout=10)[0]
        assert supervisor.returncode == 1
        assert "failing ended unexpectedly (exit status 3). Stopping\n" in output
        assert not any(map(lives, pids(tmp_path, count=2)))


def test_that_nobody_reads_the_output_any_more_does_not_stop_the_stopping(tmp_path: Path) -> None:
    with run(tmp_path, "web", "sleeper", **NO_SERVERS) as supervisor:
        read_until(supervisor, "is ready")
        supervisor.stdout.close()
        supervisor.terminate()
        assert supervisor.wait(10) == 0
        assert not any(map(lives, pids(tmp_path, count=2)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program that its parent died")
def test_a_killed_supervisor_takes_its_programs_along_and_a_new_one_finds_the_servers_and_their_data(
    tmp_path: Path,
) -> None:
    servers = Postgres(tmp_path / "local/postgres"), Valkey(tmp_path / "local/valkey")
    with run(tmp_path, "web", "sleeper") as supervisor:
        read_until(supervisor, "is ready")
        before = [server.pid() for server in servers]
        supervisor.kill()
        assert_all_end(pids(tmp_path, count=2), seconds=5)
    assert None not in before
    with run(tmp_path, "web") as supervisor:
        read_until(supervisor, "is ready")
        assert [server.pid() for server in servers] == before
        supervisor.terminate()
        supervisor.communicate(timeout=20)
        assert [server.pid() for server in servers] == [None, None]


def test_a_busy_port_is_one_sentence_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with run(tmp_path, "web", PORT=str(port)) as supervisor:
            output = supervisor.communicate(timeout=10)[0]
    assert supervisor.returncode == 1
    assert output.startswith(f"PORT {port} is in use: stop the other program or start with PORT=")
    assert output.endswith(" make run\n")
    assert output.count("\n") == 1
    assert not (tmp_path / "local").exists()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "http", "PORT must be a port number from 1 to 65535, not 'http'."),
        ("PORT", "65536", "PORT must be a port number from 1 to 65535, not '65536'."),
        ("FEATUREHUB_FEATURE_TTL", "1h", "FEATUREHUB_FEATURE_TTL must be "),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    with run(tmp_path, "web", **NO_SERVERS, **{name: value}) as supervisor:
        output = supervisor.communicate(timeout=10)[0]
    assert supervisor.returncode == 2
    assert output.startswith(sentence)
    assert output.count("\n") == 1
    assert not list(tmp_path.glob("*.pids"))
