"""Read rows of CSV and JSON Lines files in UTF-8.

A line that is broken, too long or not UTF-8 is rejected, and the rest of the file is read.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, AnyStr, Generic, Self, TypeVar

import msgspec

from featurehub.files import groups
from featurehub.files.groups import GROUP_BYTES, ROW_LIMIT, Group, LineDecoder, ReadColumns, Record, refuse_unreadable
from featurehub.lib.errors import InvalidError, json_problem
from featurehub.lib.same_keys import most_keys, refuse_same_keys
from featurehub.lib.wrong_shapes import wrong_shape

AnyRow = TypeVar("AnyRow")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLOCK = 1024 * 1024
# In place of the words of Python's csv module. The usual error is a field of more than 131,072 characters.
NOT_CSV = "can't be read as CSV: is there a quote that is never closed?"
ROW_TOO_LONG = f"it is longer than {ROW_LIMIT:,} characters"
NOT_UTF8 = re.compile("[\udc80-\udcff]")


class CsvFile(Generic[Record]):
    """A CSV file with a header line and cells separated by commas.

    An empty cell means that there is no value.
    """

    def __init__(self, path: Path, *, columns: ReadColumns[Record]) -> None:
        self.path = path
        self.total = max(count_lines(path) - 1, 0)
        with self._open() as file:
            header = next(csv.reader(BoundedLines(file)), [])
        self.columns = columns([name.strip() for name in header], path=path, absent="")

    def groups(self) -> Iterator[Group]:
        with self._open() as file:
            lines = BoundedLines(file)
            reader = csv.reader(lines)
            next(reader)
            yield from grouped(rows_or_errors(reader, lines), lines)

    def record(self, row: list[str]) -> Record:
        text = "".join(row)
        if not text.isascii() and NOT_UTF8.search(text):
            raise InvalidError("The row is not UTF-8.")
        return self.columns.record(row)

    def records(self, rows: list[Any]) -> list[Record]:
        for row in rows:
            refuse_unreadable(row)
        return self.columns.records(rows)

    def described(self, row: list[str]) -> Any:
        names = self.columns.names
        return dict(zip(names, row, strict=True)) if len(row) == len(names) else row

    def _open(self) -> IO[str]:
        # Bytes that are not UTF-8 become lone surrogates. NOT_UTF8 finds them, and the row is rejected.
        return self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


class JsonLinesFile(Generic[Record]):
    """A file with one JSON object per line."""

    def __init__(self, path: Path, *, lines: LineDecoder[Record]) -> None:
        self.path = path
        self.lines = lines
        self.total = count_lines(path)

    def groups(self) -> Iterator[Group]:
        with self.path.open("rb") as file:
            if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
                file.seek(0)
            lines = BoundedLines(file)
            for rows, size in grouped(rows_or_errors(lines, lines), lines):
                yield Group([row.strip() if isinstance(row, bytes) else row for row in rows], size)

    def record(self, row: bytes) -> Record:
        record = self._decoded(row)
        refuse_same_keys(row)
        return record

    def _decoded(self, row: bytes) -> Record:
        try:
            return self.lines.decode(row)
        except msgspec.ValidationError as error:
            raise wrong_shape(error, wanted=self.lines.type) from None
        except (ValueError, RecursionError) as error:
            raise InvalidError(f"The line is not JSON: {json_problem(error)}.") from None

    def records(self, rows: list[bytes]) -> list[Record]:
        for row in rows:
            refuse_unreadable(row)
        records = [self._decoded(row) for row in rows]
        if most_keys(b"\n".join(rows)) > self.lines.fewest_keys(records):
            for row in rows:
                refuse_same_keys(row)
        return records

    def described(self, row: bytes) -> Any:
        return row.decode(errors="replace")


class LongRowError(csv.Error):
    """A line, or a record of CSV that has many lines, is longer than ROW_LIMIT."""


class BoundedLines(Generic[AnyStr]):
    """The lines of a file, no longer than ROW_LIMIT, and no more of them to a row either."""

    def __init__(self, file: IO[AnyStr]) -> None:
        self._file: IO[AnyStr] = file
        self.read = 0
        self.row_began = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AnyStr:
        """Return the next line. Raise LongRowError if it is too long, or the row with it; the next line is another."""
        line: AnyStr = self._file.readline(ROW_LIMIT)
        if not line:
            raise StopIteration
        self.read += len(line)
        rest = line
        while len(rest) == ROW_LIMIT and rest[-1:] not in ("\n", b"\n"):
            rest = self._file.readline(ROW_LIMIT)
        if self.read - self.row_began > ROW_LIMIT or rest is not line:
            raise LongRowError
        return line


def rows_or_errors(rows: Iterator[AnyRow], lines: BoundedLines[Any]) -> Iterator[AnyRow | InvalidError]:
    """Yield the rows that are read from the lines, and an InvalidError for each that can't be."""
    while True:
        lines.row_began = lines.read
        try:
            yield next(rows)
        except LongRowError:
            yield InvalidError(f"The row can't be read: {ROW_TOO_LONG}.")
        except csv.Error:
            yield InvalidError(f"It {NOT_CSV}")
        except StopIteration:
            return


def grouped(rows: Iterable[Any], lines: BoundedLines[Any]) -> Iterator[Group]:
    """Yield the rows that are read from the lines, in groups."""
    group: list[Any] = []
    began = lines.read
    for row in rows:
        group.append(row)
        if len(group) >= groups.ROWS_AT_ONCE or lines.read - began >= GROUP_BYTES:
            yield Group(group, lines.read - began)
            group, began = [], lines.read
    if group:
        yield Group(group, lines.read - began)


def count_lines(path: Path) -> int:
    """Return the number of lines; the last one need not have a line break."""
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")
