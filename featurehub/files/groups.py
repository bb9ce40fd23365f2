"""Groups of rows, by which files are read: few rows and few bytes, so that no file needs much memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from featurehub.lib.errors import InvalidError

Record = TypeVar("Record")
Decoded = TypeVar("Decoded", covariant=True)

# Few enough to stay in the processor's cache until they are encoded, which takes a third off the time of a row.
ROWS_AT_ONCE = 1_000
GROUP_BYTES = 1024 * 1024
# Of a line, of a record of CSV, of a row of Parquet; far more than any record has.
ROW_LIMIT = 1024 * 1024
COLUMNS_LIMIT = 1_000


class Group(NamedTuple):
    """Consecutive rows, and how much memory they take, about.

    A row is what the format reads: cells, a line, or values. An empty row is a blank line, an InvalidError a row that
    can't be read.
    """

    rows: list[Any]
    size: int


def refuse_unreadable(row: Any) -> None:
    """Raise an InvalidError like the row, if it is one. The row itself would keep the frames that it passed."""
    if isinstance(row, InvalidError):
        raise InvalidError(row.detail)


NumberedGroup = tuple[int, Group]


def numbered(groups: Iterator[Group]) -> Iterator[NumberedGroup]:
    """Yield each group with the number of its first row, counted from 1."""
    first = 1
    for group in groups:
        yield first, group
        first += len(group.rows)


class RowColumns(Protocol[Record]):
    """The columns of a file, and the conversion of its rows to records."""

    names: list[str]

    def record(self, values: Sequence[Any]) -> Record:
        """Return the record of a row. Raise InvalidError if it can't be read."""

    def records(self, rows: Sequence[Sequence[Any]]) -> list[Record]:
        """Return the records of many rows. Raise InvalidError if one of them can't be read."""


class LineDecoder(Protocol[Decoded]):
    """The conversion of a line of JSON to a record; `type` is the shape that a line must have."""

    @property
    def type(self) -> Any: ...

    def decode(self, line: bytes, /) -> Decoded:
        """Return the record. Raise msgspec's ValidationError for a line of another shape, ValueError for no JSON."""

    def fewest_keys(self, records: Sequence[Any], /) -> int:
        """Return a number that is not more than the keys in the lines of these records."""


class ReadColumns(Protocol[Record]):
    """Return the columns with these names; a cell that equals `absent` has no value.

    `types` are Arrow's, where the format has any. Raise InvalidError if the file can't be read with these columns.
    """

    def __call__(
        self, names: Sequence[str], *, path: Path, absent: str | None, types: Sequence[Any] = ()
    ) -> RowColumns[Record]: ...


def check_column_names(names: Sequence[str], *, path: Path, required: Sequence[str]) -> None:
    """Raise InvalidError if a required column is missing, a name is repeated or there are too many."""
    if len(names) > COLUMNS_LIMIT:
        raise InvalidError(f"{path} has {len(names):,} columns; at most {COLUMNS_LIMIT:,} are read.")
    missing = [name for name in required if name not in names]
    if missing:
        found = ", ".join(names[:20]) or "none"
        raise InvalidError(f"{path} lacks the columns {', '.join(missing)}: it has {found[:500]}.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidError(f"{path} has more than one column named {repeated[0] or '(nothing)'}.")
