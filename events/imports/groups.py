"""Groups of rows, by which files are read: few rows and few bytes, so that no file needs much memory."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from featurehub.lib.errors import InvalidError

# Few enough to stay in the processor's cache until they are encoded, which takes a third off the time of a row.
ROWS_AT_ONCE = 1_000
GROUP_BYTES = 1024 * 1024
# Of a line, of a record of CSV, of a row of Parquet; far more than any event has.
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
