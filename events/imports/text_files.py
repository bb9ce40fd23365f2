"""Read events from CSV and JSON Lines files in UTF-8.

A line that is broken, too long or not UTF-8 is rejected, and the rest of the file is read.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, AnyStr

import msgspec

from events.imports.fields import EventColumns
from events.validation import NewEvent
from featurehub.lib.errors import InvalidError, json_problem, wrong_shape

# In bytes or characters, far more than any event has. The rest of a longer line is skipped, to bound the memory.
LINE_LIMIT = 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLOCK = 1024 * 1024
# In place of the words of Python's csv module. The usual error is a field of more than 131,072 characters.
NOT_CSV = "can't be read as CSV: is there a quote that is never closed?"
NOT_UTF8 = re.compile("[\udc80-\udcff]")


class CsvFile:
    """A CSV file with a header line and cells separated by commas.

    An empty cell means that there is no value.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total = max(count_lines(path) - 1, 0)
        with self._open() as file:
            header = next(csv.reader(bounded_lines(file)), [])
        self.columns = EventColumns([name.strip() for name in header], path=path, absent="")

    def rows(self) -> Iterator[list[str] | csv.Error]:
        with self._open() as file:
            reader = csv.reader(bounded_lines(file))
            next(reader)
            while True:
                try:
                    yield next(reader)
                except csv.Error as error:
                    yield error
                except StopIteration:
                    return

    def event(self, row: list[str] | csv.Error) -> NewEvent:
        if isinstance(row, csv.Error):
            raise InvalidError(f"It {NOT_CSV}")
        text = "".join(row)
        if not text.isascii() and NOT_UTF8.search(text):
            raise InvalidError("The row is not UTF-8.")
        return self.columns.event(row)

    def events(self, rows: list[Any]) -> list[NewEvent]:
        return self.columns.events(rows)

    def described(self, row: list[str] | csv.Error) -> Any:
        if isinstance(row, csv.Error):
            return None
        names = self.columns.names
        return dict(zip(names, row, strict=True)) if len(row) == len(names) else row

    def _open(self) -> IO[str]:
        # Bytes that are not UTF-8 become lone surrogates. NOT_UTF8 finds them, and the row is rejected.
        return self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


decode_line = msgspec.json.Decoder(NewEvent).decode


class JsonLinesFile:
    """A file with one JSON object per line, as in `POST events/`: values of an event's own stand in its metadata."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total = count_lines(path)

    def rows(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            for number, line in enumerate(bounded_lines(file)):
                yield (line.removeprefix(BYTE_ORDER_MARK) if number == 0 else line).strip()

    def event(self, row: bytes) -> NewEvent:
        try:
            return decode_line(row)
        except msgspec.ValidationError as error:
            raise wrong_shape(error) from None
        except (ValueError, RecursionError) as error:
            raise InvalidError(f"The line is not JSON: {json_problem(error)}.") from None

    def events(self, rows: list[bytes]) -> list[NewEvent]:
        return [self.event(row) for row in rows]

    def described(self, row: bytes) -> Any:
        return row.decode(errors="replace")


def bounded_lines(file: IO[AnyStr]) -> Iterator[AnyStr]:
    """Yield the lines, each truncated to LINE_LIMIT."""
    while line := file.readline(LINE_LIMIT):
        yield line
        rest = line
        while len(rest) == LINE_LIMIT and rest[-1:] not in ("\n", b"\n"):
            rest = file.readline(LINE_LIMIT)


def count_lines(path: Path) -> int:
    """Return the number of lines; the last one need not have a line break."""
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")
