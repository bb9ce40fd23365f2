"""Run several programs as one: with prefixed output, all ending when one does, none outliving us.

Decision 2 explains why this is not a package of somebody else.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import IO, NoReturn, Self

_SECONDS_TO_END = 15.0
_SECONDS_BETWEEN_CHECKS = 0.1
# A terminal, make and a process manager may each send the same signal: within this time they count as one.
_SECONDS_OF_ONE_WISH = 1.0
_COLOURS = (36, 33, 35, 32, 34)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class ProcessEnded(Exception):
    """A program ended that should run on; the message is a sentence."""


class Stopped(Exception):
    """A signal asked us to stop."""


class Supervisor:
    """Start and watch programs; leaving the context ends all of them.

    From its creation on, SIGINT and SIGTERM are only noted, and `pause` raises Stopped.
    """

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._stop_asked_at: float | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        say(f"{error or ''} Stopping".strip())
        self._end_all()

    def run(self, name: str, *, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a program to its end, without a prefix. Raise ProcessEnded if it fails, and Stopped."""
        process = _popen(command, environment=environment, output=None)
        self._processes[name] = process
        while process.poll() is None:
            self.pause()
        del self._processes[name]
        if process.returncode:
            raise ProcessEnded(f"{name} failed ({_describe(process.returncode)}); see its output above.")

    def start(self, commands: Mapping[str, str], *, environment: Mapping[str, str]) -> None:
        """Start programs given as shell commands by name."""
        width = max(map(len, commands), default=0)
        for name, command in commands.items():
            # exec: signals reach the program itself, not a shell that started it.
            shell = ["/bin/sh", "-c", f"exec {command}"]
            self._processes[name] = _popen(shell, environment=environment, output=subprocess.PIPE)
        for number, (name, process) in enumerate(self._processes.items()):
            prefix = _prefix(f"{name:<{width}} | ", colour=_COLOURS[number % len(_COLOURS)])
            assert process.stdout is not None
            threading.Thread(target=_copy, args=(process.stdout, prefix), daemon=True).start()

    def watch(self, *, each_look: Callable[[], None]) -> NoReturn:
        """Call `each_look` repeatedly until Stopped or ProcessEnded is raised."""
        while True:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise ProcessEnded(f"{name} ended unexpectedly ({_describe(process.returncode)}).")
            each_look()
            self.pause()

    def pause(self) -> None:
        """Sleep for a moment. Raise Stopped if a signal came before or during it."""
        for seconds in (_SECONDS_BETWEEN_CHECKS, 0):
            if self._stop_asked_at is not None:
                raise Stopped
            time.sleep(seconds)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._stop_asked_at is None:
            self._stop_asked_at = now
        elif number == signal.SIGINT and now > self._stop_asked_at + _SECONDS_OF_ONE_WISH:
            self._kill_groups()
            raise KeyboardInterrupt

    def _end_all(self) -> None:
        """Send SIGTERM to each program, then SIGKILL to what is left of it and of its children."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _SECONDS_TO_END
        for name, process in self._processes.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                say(f"{name} did not end within {_SECONDS_TO_END:.0f} s and is killed.")
        self._kill_groups()
        for process in self._processes.values():
            process.wait()

    def _kill_groups(self) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError if only zombies are left
                os.killpg(process.pid, signal.SIGKILL)


def die_with_parent() -> None:
    """Let the kernel send us SIGTERM when our parent dies for whatever reason. Linux only."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _popen(command: Sequence[str], *, environment: Mapping[str, str], output: int | None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        text=True,
        errors="replace",
        start_new_session=True,  # only we receive Ctrl-C, and can kill the program with its children
        preexec_fn=die_with_parent,
    )


def say(line: str) -> None:
    """Print a line, or nothing if the output was closed.

    With `| tee`, the reader gets the Ctrl-C, too, and its end must not keep us from stopping the programs.
    """
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _copy(lines: IO[str], prefix: str) -> None:
    for line in lines:
        say(prefix + line.rstrip("\n"))


def _prefix(text: str, *, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def _describe(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
