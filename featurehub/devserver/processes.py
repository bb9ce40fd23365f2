"""Starting a process that outlives us, and knowing later whether it is still that process."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

# Before it becomes the program, the child writes its own pid: it is known even where we are killed meanwhile.
_LAUNCH = 'echo $$ >"$0"; exec "$@"'

# What this process started, held so that the dead are waited for and do not stay in the process table.
_children: list[subprocess.Popen[bytes]] = []


class User(TypedDict, total=False):
    """Whom a process runs as, in the words of subprocess; empty is ourselves."""

    user: int
    group: int
    extra_groups: list[int]


def launch(command: Sequence[str], *, pid_file: Path, log: Path, environment: Mapping[str, str], user: User) -> None:
    """Starts `command` in a session of its own; its output is appended to `log`. Returns when `find` can find it.

    A session of its own, because Ctrl-C in the terminal is for the programs that use the server, which then stop it
    in good order.
    """
    pid_file.unlink(missing_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _LAUNCH, str(pid_file), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            start_new_session=True,
            **user,
        )
    _children.append(child)
    while child.poll() is None and not (pid_file.exists() and pid_file.stat().st_size):
        time.sleep(0.001)


def find_process(pid_file: Path, *, argument: str) -> int | None:
    """The pid in `pid_file` if that process lives and was given `argument`: pids are used again for other programs."""
    for child in _children:
        child.poll()
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if argument in command_line(pid) else None


def command_line(pid: int) -> str:
    """The arguments of a process, blank-separated; empty where there is none, or a dead one that nobody waits for."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return subprocess.run(["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout
