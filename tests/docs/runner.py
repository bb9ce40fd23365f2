"""Runs the blocks of a page on a running FeatureHub, from top to bottom, in an empty folder."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.docs.blocks import PROJECT, Block, Typed, is_as_shown, typed_in
from tests.docs.shapes import check_json, check_yaml
from tests.e2e.conftest import Stack

SECONDS_TO_SHOW = 30.0
# Addresses that pages name in place of that of the reader.
ADDRESSES = ("http://127.0.0.1:8000", "https://features.example.com")
SETS_VARIABLE = re.compile(r"(?:export )?([A-Z_]+)=\S*(?:\$\(.*\))?(?: +#.*)?$")
INTERPRETER = """
import json, sys, traceback
names = {}
answers = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    order = json.loads(line)
    try:
        exec(compile(order["code"], order["place"], "exec"), names)
        answer = ""
    except BaseException:
        answer = traceback.format_exc()
    answers.write(json.dumps(answer) + "\\n")
    answers.flush()
"""


class PageRun:
    """The state in which the blocks of one page run: a folder, an environment, a Python."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.python: subprocess.Popen[str] | None = None
        for entry in PROJECT.iterdir():
            if entry.name not in (".venv", ".git", ".local"):
                (folder / entry.name).symlink_to(entry)
        (folder / ".venv").symlink_to(sys.prefix)
        tools = folder / ".tools"
        tools.mkdir()
        (tools / "manage.py").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROJECT}/manage.py" "$@"\n')
        (tools / "manage.py").chmod(0o755)
        self.environment = {
            **stack.environment,
            "PATH": f"{tools}:{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
            "KEY": stack.key,
            "FEATUREHUB_KEY": stack.key,
            "FEATUREHUB_URL": stack.url,
            "PYTHONPATH": f"{folder}:{PROJECT}",
            "no_proxy": "*",
        }

    def close(self) -> None:
        if self.python is not None:
            self.python.kill()
            self.python.communicate()

    def run(self, block: Block) -> None:
        """Save a block, or run it as its language asks. Raises AssertionError where it does not do what it says."""
        code = self.here(block.code)
        if block.file:
            (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.file).write_text(code)
        elif block.language == "python":
            self.run_python(code, place=block.place)
        elif block.language == "console":
            for typed in typed_in(code):
                self.run_typed(typed, place=block.place)
        elif block.language in ("sh", "bash"):
            status, output, errors = self.shell(code)
            assert status == 0, f"{block.place}: status {status}\n{output}{errors}"
        elif block.language == "json":
            check_json(block)
        elif block.language == "yaml":
            check_yaml(block)
        else:
            raise AssertionError(f"{block.place}: nothing runs {block.language}; mark it as not run, with the reason")

    def here(self, code: str) -> str:
        for address in ADDRESSES:
            code = code.replace(address, self.stack.url)
        return code

    def run_python(self, code: str, *, place: str) -> None:
        if self.python is None:
            self.python = subprocess.Popen(
                [sys.executable, "-u", "-c", INTERPRETER], cwd=self.folder, env=self.environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        assert self.python.stdin is not None
        assert self.python.stdout is not None
        self.python.stdin.write(json.dumps({"code": code, "place": place}) + "\n")
        self.python.stdin.flush()
        answer = self.python.stdout.readline()
        assert answer, f"{place}: Python ended"
        failure = json.loads(answer)
        assert not failure, f"{place}:\n{failure}"

    def run_typed(self, typed: Typed, *, place: str) -> None:
        """Run a command until it prints what the page shows; what changes something is run once."""
        if typed.command == "make run":
            check_start(self.stack.log.read_text(), shown=typed.expected, place=place)
            return
        end = time.monotonic() + SECONDS_TO_SHOW
        while True:
            status, output, errors = self.shell(typed.command)
            printed = f"{place}: {typed.command}\nstatus {status}\n{output}{errors}\n"
            if not typed.expected:
                assert status == 0, printed
                return
            if is_as_shown(output, expected=typed.expected):
                return
            is_too_late = time.monotonic() > end
            assert not is_too_late, f"{printed}and not\n{typed.expected}"
            assert is_read(typed.command), f"{printed}and not\n{typed.expected}"
            time.sleep(0.2)

    def shell(self, code: str) -> tuple[int, str, str]:
        """Return status, output and errors of a command; a variable that it sets is there for the next ones."""
        variable = SETS_VARIABLE.match(code)
        if variable and "…" in code:
            return 0, "", ""  # stands for the reader's own; the tests have theirs
        variables = self.folder / ".variables"
        keep = f'declare -p {variable[1]} >> "{variables}"' if variable else ""
        before = variables.read_text() if variables.exists() else ""
        done = subprocess.run(
            ["bash", "-c", f"set -e\n{before}\n{code}\n{keep}"], cwd=self.folder, env=self.environment, text=True,
            timeout=120, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr


def is_read(command: str) -> bool:
    return "curl" in command and (" -G " in command or not any(part in command for part in ("-X ", " -d ", "--data")))


def check_start(log: str, *, shown: str, place: str) -> None:
    """Check that each line that `make run` is said to print was printed: numbers, bars and passwords aside."""
    printed = "".join(character for character in log if character.isalpha())
    for line in shown.splitlines():
        if "%|" in line or line.startswith(("Making .venv", "Demo data:", "  Try", "  API key", "  Admin")):
            continue
        letters = "".join(character for character in line.replace("…", "") if character.isalpha())
        assert letters in printed, f"{place}: make run does not print: {line}"
