"""Read events from Parquet files as a stream.

A row group may be larger than the memory, so that it is read in batches of rows.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from events.imports.fields import EventColumns
from events.validation import NewEvent
from featurehub.lib.clock import EPOCH

ROWS_PER_READ = 1_000
BUFFER = 1024 * 1024
MICROSECOND = timedelta(microseconds=1)
MICROSECONDS_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}
ID_COLUMNS = ("event_id", "customer_id", "session_id")


class ParquetFile:
    """A Parquet file with typed columns.

    `timestamp` has a time zone or is ISO 8601 text; `metadata` is JSON text, a struct or a map.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            self.total: int = file.metadata.num_rows
            self.columns = EventColumns(file.schema_arrow.names, path=path, absent=None)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        with self._open() as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_READ):
                columns = [python_values(name, column) for name, column in zip(self.columns.names, batch, strict=True)]
                yield from zip(*columns, strict=True)

    def event(self, row: tuple[Any, ...]) -> NewEvent:
        return self.columns.event(row)

    def events(self, rows: list[tuple[Any, ...]]) -> list[NewEvent]:
        return self.columns.events(rows)

    def described(self, row: tuple[Any, ...]) -> Any:
        return dict(zip(self.columns.names, row, strict=True))

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.path, buffer_size=BUFFER, pre_buffer=False)


def python_values(name: str, column: pa.Array) -> list[Any]:
    """Return the values of a column, None for null.

    Whole numbers in ID_COLUMNS are converted to text.
    """
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return timestamps(column)
    if pa.types.is_integer(column.type) and name in ID_COLUMNS:
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values


def timestamps(column: pa.Array) -> list[Any]:
    """Return timestamps in UTC, truncated to microseconds.

    A value outside of Python's calendar stays a whole number, which validation rejects. Seconds and milliseconds are
    converted here, since Arrow's own conversion wraps around at 2^63.
    """
    if column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", "UTC"), safe=False)
    per_unit = MICROSECONDS_PER[column.type.unit]
    counted = column.cast(pa.int64()).to_pylist()
    return [None if number is None else timestamp_of(number * per_unit) for number in counted]


def timestamp_of(microseconds: int) -> datetime | int:
    """Return the timestamp of microseconds since 1970, or the number itself if it is out of range."""
    try:
        return EPOCH + microseconds * MICROSECOND
    except OverflowError:
        return microseconds
