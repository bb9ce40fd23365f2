"""Finding processes that were just started."""

import os
import signal
import time
from pathlib import Path
from threading import Timer

from featurehub.devserver.processes import User, arguments_in_proc, find_process, launch


def test_a_process_is_found_while_it_becomes_its_program(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    for _ in range(100):
        launch(["/bin/sleep", "60"], pid_file=pid_file, log=tmp_path / "log", environment={}, user=User())
        until = time.monotonic() + 0.005  # long after /bin/sh has become sleep
        while time.monotonic() < until:
            assert find_process(pid_file, argument="sleep") is not None
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_a_program_that_is_read_from_a_busy_disk_is_waited_for(tmp_path: Path) -> None:
    arguments = tmp_path / "cmdline"  # as /proc has it in the middle of exec
    arguments.write_bytes(b"")
    (tmp_path / "stat").write_bytes(Path("/proc/self/stat").read_bytes())
    Timer(0.5, arguments.write_bytes, [b"sleep\x0060\x00"]).start()
    assert arguments_in_proc(tmp_path) == "sleep 60 "


def test_a_thread_of_the_kernel_has_no_arguments_and_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "cmdline").write_bytes(b"")
    (tmp_path / "stat").write_text("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 3 0 0")
    begun = time.monotonic()
    assert arguments_in_proc(tmp_path) == ""
    assert time.monotonic() - begun < 1
