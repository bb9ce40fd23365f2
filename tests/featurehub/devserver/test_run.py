"""The supervisor of `make run`, with small programs in place of those of the Procfile."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from featurehub.devserver.postgres import Postgres
from featurehub.devserver.processes import command_line
from featurehub.devserver.server import Server, is_free
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
    "failing": """
print("this is why")
sys.exit(3)
""",
}
NOTE_PID = """
import os, signal, sys, time
def note_pid():
    with open(__file__ + ".pids", "a") as file:
        file.write(f"{os.getpid()}\\n")
note_pid()
"""

pytestmark = pytest.mark.alone


@contextmanager
def run(folder: Path, *programs: str, restart_after: float = 0.05, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor of the programs; kill it at the end of the block if it still lives."""
    for name in programs:
        (folder / f"{name}.py").write_text(NOTE_PID + PROGRAMS[name])
    procfile = folder / "Procfile"
    procfile.write_text("# a comment\n\n" + "".join(f"{name}: python {folder}/{name}.py\n" for name in programs))
    options = ["--skip-set-up", "--procfile", str(procfile), "--restart-after", str(restart_after)]
    with subprocess.Popen(
        [sys.executable, "-m", "featurehub.devserver.run", *options],
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


def pids(folder: Path, *, count: int, name: str = "*") -> list[int]:
    """Return the pids that the programs wrote, of all or of one, once there are as many as expected."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [int(line) for path in folder.glob(f"{name}.py.pids") for line in path.read_text().splitlines()]
        if len(found) == count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{count} programs expected, not {len(found)}")


def kill(server: Server) -> None:
    os.kill(server.pid(), signal.SIGKILL)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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


def test_a_killed_program_is_started_again_without_what_it_had_started(tmp_path: Path) -> None:
    with run(tmp_path, "sleeper", "parent", **NO_SERVERS) as supervisor:
        read_until(supervisor, "Starting sleeper, parent")
        sleeper, first = pids(tmp_path, count=1, name="sleeper"), pids(tmp_path, count=2, name="parent")
        os.kill(first[0], signal.SIGKILL)
        said = read_until(supervisor, "Starting parent again")
        assert said == "parent ended unexpectedly (SIGKILL) and is started again in 0.05 s\nStarting parent again\n"
        second = pids(tmp_path, count=4, name="parent")[2:]
        assert [lives(pid) for pid in first + second + sleeper] == [False, False, True, True, True]
        supervisor.terminate()
        supervisor.communicate(timeout=10)
        assert not any(map(lives, second + sleeper))


def test_a_program_that_ends_again_and_again_ends_all_with_a_sentence_below_its_output(tmp_path: Path) -> None:
    with run(tmp_path, "sleeper", "failing", **NO_SERVERS) as supervisor:
        output = supervisor.communicate(timeout=10)[0]
        assert supervisor.returncode == 1
        delays = ["0.05", "0.1", "0.2", "0.4"]
        assert [f"again in {delay} s\n" in output for delay in delays] == [True] * 4
        assert output.endswith(
            "failing | this is why\nfailing ended 5 times in a row (exit status 3). Its output is above.\nStopping\n"
        )
        assert not any(map(lives, pids(tmp_path, count=6)))


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


def test_killed_servers_are_started_again_on_their_ports_with_their_data(tmp_path: Path) -> None:
    postgres, valkey = Postgres(tmp_path / "local/postgres"), Valkey(tmp_path / "local/valkey")
    with run(tmp_path, "web", "sleeper") as supervisor:
        read_until(supervisor, "is ready")
        urls = postgres.url, valkey.url
        with psycopg.connect(urls[0], autocommit=True) as session, redis.Redis.from_url(urls[1]) as client:
            session.execute("create table kept as select 1")
            client.set("kept", 1)
        programs = pids(tmp_path, count=2)
        for server in (postgres, valkey):
            kill(server)
            said = read_until(supervisor, f"Starting {server.name} again")
            assert f"{server.name} ended unexpectedly (its log is {server.log}) and is started again in 0.05 s" in said
            wait_for(lambda server=server: server.pid() is not None and server.is_ready(server.pid()))
        assert (postgres.url, valkey.url) == urls
        with psycopg.connect(urls[0]) as session, redis.Redis.from_url(urls[1]) as client:
            assert session.execute("select * from kept").fetchone() == (1,)
            assert client.get("kept") == b"1"
        assert pids(tmp_path, count=2) == programs
        supervisor.terminate()
        supervisor.communicate(timeout=20)
        assert supervisor.returncode == 0
        assert (postgres.pid(), valkey.pid()) == (None, None)


def test_a_server_that_does_not_start_again_ends_all_with_the_end_of_its_log(tmp_path: Path) -> None:
    valkey = Valkey(tmp_path / "local/valkey")
    with run(tmp_path, "web", DATABASE_URL=NO_SERVERS["DATABASE_URL"]) as supervisor:
        read_until(supervisor, "is ready")
        next((valkey.home / "appendonlydir").glob("*.base.rdb")).write_bytes(b"no data of Valkey's")
        kill(valkey)
        output = supervisor.communicate(timeout=20)[0]
        assert supervisor.returncode == 1
        sentence = f"Valkey ended 5 times in a row (Valkey did not start; its log, {valkey.log}, says: Bad file format"
        assert sentence in output
        assert f"The end of its log, {valkey.log}:\n" in output
        assert output.endswith("Stopping\n")
        assert not any(map(lives, pids(tmp_path, count=1)))


def test_ctrl_c_stops_also_while_a_server_starts_again(tmp_path: Path) -> None:
    valkey = Valkey(tmp_path / "local/valkey")
    with run(tmp_path, "web", restart_after=1.0, DATABASE_URL=NO_SERVERS["DATABASE_URL"]) as supervisor:
        read_until(supervisor, "is ready")
        with socket.socket() as other:  # takes the port as soon as it is free, so that Valkey can't start
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kill(valkey)
            wait_for(lambda: is_free(valkey.port))
            other.bind(("127.0.0.1", valkey.port))
            other.listen()
            read_until(supervisor, "Starting Valkey again")
            time.sleep(0.3)
            supervisor.send_signal(signal.SIGINT)
            assert supervisor.communicate(timeout=10)[0].endswith("Stopping\n")
    assert supervisor.returncode == 0
    assert valkey.pid() is None


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
