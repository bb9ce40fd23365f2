"""The fenced blocks of the documentation, and what becomes of each in the tests.

A block is run unless its title says that it is not, and why: ```` ```sh title="not run: it needs a cluster" ````. A
title that is the name of a file means that the reader saves the block under it, and so do the tests.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
RUN = ("python", "console", "sh", "bash", "http", "sql", "json", "yaml")
# What nobody runs: output, layouts, other formats.
SHOWN = ("", "text", "csv", "ini", "markdown")
NOT_RUN = "not run: "
TITLE = re.compile(r'title="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    page: Path
    line: int
    language: str
    title: str
    code: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(PROJECT)}:{self.line}"

    @property
    def reason(self) -> str:
        """Return why it is not run; empty if it is."""
        return self.title.removeprefix(NOT_RUN) if self.title.startswith(NOT_RUN) else ""

    @property
    def file(self) -> str:
        """Return the file under which it is saved; empty if it is none."""
        return self.title if self.title and not self.reason else ""


def tokens_of(page: Path) -> list[tuple[str, str, str, int]]:
    """Return kind, info string, content and line of each block of code of a page."""
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    return [(each.type, each.info, each.content, each.map[0] + 1) for each in tokens if each.map is not None]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page from top to bottom, also those within lists."""
    for kind, info, content, line in tokens_of(page):
        if kind == "fence":
            language, _, rest = info.strip().partition(" ")
            title = TITLE.search(rest)
            yield Block(page=page, line=line, language=language, title=title[1] if title else "", code=content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A command of a console block, and what the page says it prints."""

    command: str
    expected: str


def typed_in(console: str) -> list[Typed]:
    """Return the commands behind `$`; one goes on on the next lines after a backslash or within quotes."""
    commands: list[list[str]] = []
    printed: list[list[str]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            commands.append([line.removeprefix("$ ")])
            printed.append([])
        elif not commands:
            raise AssertionError(f"A console block begins with $: {line}")
        elif not printed[-1] and is_open("\n".join(commands[-1])):
            commands[-1].append(line)
        else:
            printed[-1].append(line)
    return [
        Typed(command="\n".join(command), expected="\n".join(output))
        for command, output in zip(commands, printed, strict=True)
    ]


def is_open(command: str) -> bool:
    """Return whether the next line belongs to the command: after a backslash, or within quotes."""
    without_escapes = re.sub(r"\\.", "", command)
    outside = re.sub(r"'[^']*'|\"[^\"]*\"", "", without_escapes)
    return command.endswith("\\") or "'" in outside or '"' in outside


def is_as_shown(actual: str, *, expected: str) -> bool:
    """Return whether the output is what the page shows: … stands for anything, blanks do not count."""
    parts = ["".join(part.split()) for part in expected.split("…")]
    pattern = ".*".join(re.escape(part) for part in parts)
    return re.fullmatch(pattern, "".join(actual.split()), re.DOTALL) is not None
