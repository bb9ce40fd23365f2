"""A pool of web processes on its socket: real granian, killed and started again."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.web_programs import path_of_programs

PROJECT = Path(__file__).resolve().parents[2]
SECONDS_TO_START = 60.0


@contextmanager
def pool(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run the pool `reads` in a process group of its own, none of which is left after the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "featurehub.pool", "reads", "--workers", "1", "--blocking-threads", "1"],
        cwd=PROJECT,
        env={**os.environ, "PATH": path_of_programs(), "FEATUREHUB_LOCAL_DIR": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def status_of(path: Path) -> int:
    """Return the status of /healthz, once the pool answers on its socket."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(path))
            connection.request("GET", "/healthz")
            return connection.getresponse().status
        except (FileNotFoundError, ConnectionError):
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError("The pool does not answer.")


def test_a_pool_starts_again_after_it_was_killed_and_not_twice(tmp_path: Path) -> None:
    with pool(tmp_path):
        assert status_of(tmp_path / "reads.sock") == 200
        with pool(tmp_path) as second:
            _, told = second.communicate(timeout=SECONDS_TO_START)
            assert told.startswith(f"Another process serves {tmp_path}/reads.sock: stop it, or ")
            assert (second.returncode, told.count("\n")) == (1, 1)
        assert status_of(tmp_path / "reads.sock") == 200
    assert (tmp_path / "reads.sock").exists()
    with pool(tmp_path):
        assert status_of(tmp_path / "reads.sock") == 200


@pytest.mark.parametrize(("own", "expected"), [(None, "timeout:1 attempts:1"), ("timeout:3", "timeout:3")])
def test_a_pool_looks_names_up_for_a_second_unless_told_otherwise(
    tmp_path: Path, own: str | None, expected: str
) -> None:
    program = tmp_path / "granian"
    program.write_text('#!/bin/sh\necho "$RES_OPTIONS"\n')
    program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "RES_OPTIONS"}
    environment |= {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "FEATUREHUB_LOCAL_DIR": str(tmp_path)}
    environment |= {} if own is None else {"RES_OPTIONS": own}
    command = [sys.executable, "-m", "featurehub.pool", "api"]
    answer = subprocess.run(command, cwd=PROJECT, env=environment, check=True, text=True, stdout=subprocess.PIPE)
    assert answer.stdout.strip() == expected


@pytest.mark.parametrize("length", [93, 200])
def test_a_folder_too_long_for_a_socket_is_one_sentence(tmp_path: Path, length: int) -> None:
    folder = Path("/") / ("x" * (length - 1))
    with pool(folder) as process:
        _, told = process.communicate(timeout=SECONDS_TO_START)
    assert process.returncode == 1
    sentence = f"FEATUREHUB_LOCAL_DIR is too long for a socket in it: {folder} has {length} bytes"
    assert told == f"{sentence}, and at most 92 are possible.\n"
