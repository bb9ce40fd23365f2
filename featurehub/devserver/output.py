"""Print lines of our own and lines of programs, whoever reads them or no longer does."""

import os
import sys
from typing import IO

_COLOURS = (36, 33, 35, 32, 34)


def say(line: str) -> None:
    """Print a line, or nothing if the output was closed.

    With `| tee`, the reader gets the Ctrl-C, too, and its end must not keep us from stopping the programs.
    """
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_lines(lines: IO[str], prefix: str) -> None:
    """Print each line with the prefix until the input ends."""
    for line in lines:
        say(prefix + line.rstrip("\n"))


def line_prefix(text: str, *, number: int) -> str:
    """Return the text, on a terminal in the colour of the number."""
    colour = _COLOURS[number % len(_COLOURS)]
    return f"\x1b[{colour}m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text
