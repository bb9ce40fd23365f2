"""Start processes that outlive us, and find them again later."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

# The child writes its own pid before it becomes the program, so that the pid is known even if we are killed.
_LAUNCH = 'echo $$ >"$0"; exec "$@"'
# A process has no arguments while the kernel replaces its program: for some microseconds, or for as long as it takes to
# read the program from a busy disk. One that ends has none either, nor has a thread of the kernel (PF_KTHREAD).
_SECONDS_OF_EXEC = 10.0
_KERNEL_THREAD = 0x00200000

# Processes started by this one: they must be waited for, so that no zombies stay in the process table.
_children: list[subprocess.Popen[bytes]] = []


class User(TypedDict, total=False):
    """The user of a process as arguments of subprocess; empty for the current user."""

    user: int
    group: int
    extra_groups: list[int]


def launch(command: Sequence[str], *, pid_file: Path, log: Path, environment: Mapping[str, str], user: User) -> None:
    """Start `command` in a session of its own, with its output appended to `log`, once `find_process` can find it.

    In a session of its own it does not receive the terminal's Ctrl-C. The programs that use the server do, and then
    stop it in order. Its files, the log among them, are for its user only.
    """
    pid_file.unlink(missing_ok=True)
    log.touch(0o600)
    log.chmod(0o600)
    with log.open("ab") as output:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _LAUNCH, str(pid_file), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            start_new_session=True,
            umask=0o077,
            **user,
        )
    _children.append(child)
    while child.poll() is None and not (pid_file.exists() and pid_file.stat().st_size):
        time.sleep(0.001)


def find_process(pid_file: Path, *, argument: str) -> int | None:
    """Return the pid in `pid_file` if that process runs and was given `argument`, else None.

    Pids are reused for other programs, which do not have the argument.
    """
    for child in _children:
        child.poll()
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if argument in command_line(pid) else None


def command_line(pid: int) -> str:
    """Return the arguments of a process separated by blanks.

    The text is empty if the process does not exist or is a zombie.
    """
    if Path("/proc/self").exists():
        try:
            return arguments_in_proc(Path("/proc", str(pid)))
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return subprocess.run(["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout


def arguments_in_proc(process: Path) -> str:
    """Return the arguments of a process of Linux, empty for a zombie; wait for those of one in the middle of exec."""
    deadline = time.monotonic() + _SECONDS_OF_EXEC
    while True:
        arguments = (process / "cmdline").read_bytes()
        state, _, _, _, _, _, flags, *_ = (process / "stat").read_text().rpartition(") ")[2].split()
        has_none = state == "Z" or int(flags) & _KERNEL_THREAD
        if arguments or has_none or time.monotonic() > deadline:
            return arguments.replace(b"\0", b" ").decode(errors="replace")
        time.sleep(0.001)
