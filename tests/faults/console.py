"""A process with Django set up on the site's servers: it activates weight sets and sends tasks, as asked by lines.

A line of input is a JSON list [FUNCTION, ARGUMENTS]; a line of output is {"result": …} or {"error": …}.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

PROGRAM = "import django; django.setup(); from tests.faults import console_functions; console_functions.main()"


class ConsoleError(Exception):
    """The function of the console raised; the message is its error."""


class Console:
    """The process, which answers one question at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lock = Lock()

    def ask(self, function: str, *arguments: Any) -> Any:
        """Return what the function returns. Raise ConsoleError for what it raises."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps([function, arguments]) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline() or '{"error": "the console has ended"}')
        if "error" in answer:
            raise ConsoleError(answer["error"])
        return answer["result"]


@contextmanager
def running_console(environment: dict[str, str], *, folder: str) -> Iterator[Console]:
    """Run the process until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield Console(process)
        finally:
            process.kill()


def serve(functions: dict[str, Callable[..., Any]], *, after_each: Callable[[], None]) -> None:
    """Answer the lines of the input until it ends."""
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": functions[name](*arguments)}
        except Exception as error:  # whatever the site's servers do to it is an answer
            answer = {"error": repr(error)}
        after_each()
        print(json.dumps(answer), flush=True)
