"""Parquet, read as a stream: a row group may be larger than the memory."""

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
ID_COLUMNS = ("event_id", "customer_id", "session_id")


class ParquetFile:
    """Typed columns: `timestamp` with a time zone or as ISO text, `metadata` as JSON text, a struct or a map."""

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
    """The values of a column; None where there is none. Whole numbers are ids, too."""
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return timestamps(column)
    if pa.types.is_integer(column.type) and name in ID_COLUMNS:
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values


def timestamps(column: pa.Array) -> list[Any]:
    """Moments in UTC, to the microsecond; one beyond the calendar stays the number it is, and is refused as such."""
    counted = column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()).to_pylist()
    return [None if number is None else timestamp_of(number) for number in counted]


def timestamp_of(microseconds: int) -> datetime | int:
    try:
        return EPOCH + microseconds * MICROSECOND
    except OverflowError:
        return microseconds
