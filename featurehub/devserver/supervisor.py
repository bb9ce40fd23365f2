"""Run several programs as one: with prefixed output, started again when they end, none outliving us.

Decision 2 explains why this is not a package of somebody else.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn, Self

from featurehub.devserver.output import line_prefix, print_lines, say
from featurehub.devserver.restarts import ProcessEnded, Restarted

_SECONDS_TO_END = 15.0
_SECONDS_BETWEEN_CHECKS = 0.1
# A terminal, make and a process manager may each send the same signal: within this time they count as one.
_SECONDS_OF_ONE_WISH = 1.0
# After a program ended, for its last lines to be printed before we say so.
_SECONDS_FOR_LAST_LINES = 1.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Stopped(Exception):
    """A signal asked us to stop."""


class Program(Restarted):
    """A program of the Procfile, running from its creation on; its output is printed with a prefix."""

    def __init__(
        self, name: str, *, command: str, environment: Mapping[str, str], prefix: str, first_delay: float
    ) -> None:
        super().__init__(name, first_delay=first_delay, now=time.monotonic())
        # exec: signals reach the program itself, not a shell that started it.
        self._command = ["/bin/sh", "-c", f"exec {command}"]
        self._environment = environment
        self._prefix = prefix
        self.start()

    def start(self) -> None:
        self.process = _popen(self._command, environment=self._environment, output=subprocess.PIPE)
        self._printer = threading.Thread(target=print_lines, args=(self.process.stdout, self._prefix), daemon=True)
        self._printer.start()

    def describe_end(self) -> str | None:
        status = self.process.poll()
        if status is None:
            return None
        # What it has started would occupy its port, or work beside its successor.
        _kill_group(self.process)
        self._printer.join(_SECONDS_FOR_LAST_LINES)
        return _describe(status)

    def point_to_output(self) -> str:
        return "Its output is above."


class Supervisor:
    """Start and watch programs; leaving the context ends all of them.

    From its creation on, SIGINT and SIGTERM are only noted, and `pause` raises Stopped.
    """

    def __init__(self) -> None:
        self._programs: list[Program] = []
        self._step: tuple[str, subprocess.Popen[str]] | None = None
        self._stop_asked_at: float | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if str(error or ""):
            say(str(error))
        say("Stopping")
        self._end_all()

    def run(self, name: str, *, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a program to its end, without a prefix. Raise ProcessEnded if it fails, and Stopped."""
        process = _popen(command, environment=environment, output=None)
        self._step = name, process
        while process.poll() is None:
            self.pause()
        self._step = None
        if process.returncode:
            raise ProcessEnded(f"{name} failed ({_describe(process.returncode)}); see its output above.")

    def start(self, commands: Mapping[str, str], *, environment: Mapping[str, str], first_delay: float) -> None:
        """Start programs given as shell commands by name.

        A program that ends is started again, at first after `first_delay` seconds.
        """
        width = max(map(len, commands), default=0)
        for number, (name, command) in enumerate(commands.items()):
            prefix = line_prefix(f"{name:<{width}} | ", number=number)
            self._programs.append(
                Program(name, command=command, environment=environment, prefix=prefix, first_delay=first_delay)
            )

    def watch(self, servers: Sequence[Restarted], *, each_look: Callable[[], None]) -> NoReturn:
        """Start again what ends, until Stopped or ProcessEnded is raised; call `each_look` repeatedly."""
        while True:
            for one in (*servers, *self._programs):
                one.look(now=time.monotonic())
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
            for _, process in self._processes():
                _kill_group(process)
            raise KeyboardInterrupt

    def _end_all(self) -> None:
        """Send SIGTERM to each program, then SIGKILL to what is left of it and of its children."""
        processes = list(self._processes())
        for _, process in processes:
            process.terminate()
        deadline = time.monotonic() + _SECONDS_TO_END
        for name, process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                say(f"{name} did not end within {_SECONDS_TO_END:.0f} s and is killed.")
        for _, process in processes:
            _kill_group(process)
            process.wait()

    def _processes(self) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        """Yield what may still run, with its name."""
        if self._step is not None:
            yield self._step
        for program in self._programs:
            if not program.is_waiting:
                yield program.name, program.process


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


def _kill_group(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError if only zombies are left
        os.killpg(process.pid, signal.SIGKILL)


def _describe(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
