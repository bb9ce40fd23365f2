"""Finding processes that were just started."""

import os
import signal
import time
from pathlib import Path

from featurehub.devserver.processes import User, find_process, launch


def test_a_process_is_found_while_it_becomes_its_program(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    for _ in range(100):
        launch(["/bin/sleep", "60"], pid_file=pid_file, log=tmp_path / "log", environment={}, user=User())
        until = time.monotonic() + 0.005  # long after /bin/sh has become sleep
        while time.monotonic() < until:
            assert find_process(pid_file, argument="sleep") is not None
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
