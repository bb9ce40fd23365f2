"""Open a file of rows in its format, and read it in numbered groups, one ahead of what uses them."""

import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa

from featurehub.files.groups import Group, LineDecoder, NumberedGroup, ReadColumns, Record, numbered
from featurehub.files.parquet_files import ParquetFile
from featurehub.files.text_files import NOT_CSV, ROW_TOO_LONG, CsvFile, JsonLinesFile, LongRowError
from featurehub.lib.errors import InvalidError

T = TypeVar("T")
FORMATS = (".csv", ".jsonl", ".parquet")


class RowFile(Protocol[Record]):
    """A file of rows in one of the formats."""

    total: int  # approximate number of rows

    def groups(self) -> Iterator[Group]:
        """Yield the rows from the first one on, in the same groups at every call and in any thread."""

    def record(self, row: Any) -> Record:
        """Return the record of a row, with the right types. Raise InvalidError if it can't be read."""

    def records(self, rows: list[Any]) -> list[Record]:
        """Return the records of many rows. Raise InvalidError if one of them can't be read."""

    def described(self, row: Any) -> Any:
        """Return the row as the list of rejected rows shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordKind(Generic[Record]):
    """The records that a file is read as: from columns, or from lines of JSON.

    `name` is what users call them, and `kept` says what is stored of a file that can't be read to its end.
    """

    name: str
    columns: ReadColumns[Record]
    lines: LineDecoder[Record]
    kept: str


def open_rows(path: Path, *, kind: RecordKind[Record]) -> RowFile[Record]:
    """Return the file in its format. Raise InvalidError if it can't be read as such records at all."""
    if path.suffix.lower() not in FORMATS:
        raise InvalidError(f"{path} has none of the endings {', '.join(FORMATS)}, which name the format of the file.")
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise InvalidError(f"{path} {found}: name a file of {kind.name}.")
    try:
        return open_format(path, kind=kind)
    except LongRowError:
        raise InvalidError(f"{path} has a header that can't be read: {ROW_TOO_LONG}.") from None
    except csv.Error:
        raise InvalidError(f"{path} {NOT_CSV}") from None
    except (OSError, pa.ArrowException) as error:
        raise InvalidError(f"{path} can't be read: {error}") from None


def open_format(path: Path, *, kind: RecordKind[Record]) -> RowFile[Record]:
    """Return the file in the format that its ending names."""
    match path.suffix.lower():
        case ".csv":
            return CsvFile(path, columns=kind.columns)
        case ".jsonl":
            return JsonLinesFile(path, lines=kind.lines)
        case _:
            return ParquetFile(path, columns=kind.columns, kept=kind.kept)


def numbered_groups(file: RowFile[Any], *, kept: str) -> Iterator[NumberedGroup]:
    """Yield the groups with the numbers of their first rows.

    Raise InvalidError if the file can't be read further; it says what is `kept` of it.
    """
    try:
        yield from numbered(file.groups())
    except (OSError, pa.ArrowException) as error:
        raise InvalidError(f"The rest of the file can't be read; {kept}: {error}") from None


def described(row: Any, *, file: RowFile[Any]) -> Any:
    """Return the row as the list of rejected rows shows it; None where it could not be read."""
    return None if isinstance(row, InvalidError) else file.described(row)


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, and let another thread make the next one meanwhile.

    So the file is read while PostgreSQL stores the previous batch.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
