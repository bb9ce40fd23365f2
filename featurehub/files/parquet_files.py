"""Read rows of Parquet files as a stream.

A row group may be larger than the memory, so that it is read in batches of rows.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Generic

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from featurehub.files import groups
from featurehub.files.groups import GROUP_BYTES, ROW_LIMIT, Group, ReadColumns, Record, refuse_unreadable
from featurehub.files.parquet_pages import ChunkPages, read_pages
from featurehub.lib.clock import EPOCH
from featurehub.lib.errors import InvalidError

BUFFER = 1024 * 1024
MEGABYTE = 1024 * 1024
# Of the footer, which has a part for every column of every row group.
FOOTER_LIMIT = 16 * MEGABYTE
# Of the pages that are in memory at once: the largest one and the dictionary of each column.
PAGES_LIMIT = 256 * MEGABYTE
# Of the values of rows that are decoded at once.
DECODED_BYTES = 16 * MEGABYTE
# Of a row group, in lists and maps: all of them may belong to one row.
NESTED_VALUES_LIMIT = 20_000_000
BYTES_OF_A_NUMBER = 16
# The encoding of a text as its difference to the one before.
DIFFERENCES = "DELTA_BYTE_ARRAY"
NEVER_AS_INDICES = frozenset((DIFFERENCES, "DELTA_LENGTH_BYTE_ARRAY"))
MICROSECOND = timedelta(microseconds=1)
MICROSECONDS_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}
# Of values that Python's types can't hold: years beyond 9999, parts of a microsecond, bytes that are no UTF-8.
UNREADABLE = (OverflowError, ValueError)
ID_COLUMNS = ("event_id", "customer_id", "session_id")


class ParquetFile(Generic[Record]):
    """A Parquet file with typed columns; moments have a time zone or are ISO 8601 text."""

    def __init__(self, path: Path, *, columns: ReadColumns[Record], kept: str) -> None:
        """Open the file. `kept` says what is stored of it where a row group can't be read."""
        self.path = path
        self.kept = kept
        self._refuse_large_footer()
        self._texts: list[str] = []
        with self._open() as file:
            self.total: int = file.metadata.num_rows
            self._texts = columns_of_texts(file)
            self.columns = columns(file.schema_arrow.names, path=path, absent=None, types=file.schema_arrow.types)

    def groups(self) -> Iterator[Group]:
        with self._open() as file, self.path.open("rb") as pages:
            for number in range(file.num_row_groups):
                rows = min(
                    rows_at_once(file, number, pages=pages, kept=self.kept, indexed=self._texts), groups.ROWS_AT_ONCE
                )
                for batch in file.iter_batches(batch_size=rows, row_groups=[number]):
                    yield from map(self._group, bounded_parts(batch))

    def _group(self, batch: pa.RecordBatch) -> Group:
        if batch.num_rows == 1 and size_of(batch.columns) > ROW_LIMIT:
            return Group([too_large(batch)], 0)
        columns = []
        for name, column in zip(self.columns.names, batch, strict=True):
            try:
                columns.append(python_values(name, column))
            except UNREADABLE:
                return self._group_by_rows(batch, unreadable=name)
        return Group(list(zip(*columns, strict=True)), size_of(batch.columns))

    def _group_by_rows(self, batch: pa.RecordBatch, *, unreadable: str) -> Group:
        """Return the rows one by one, and an InvalidError for a single row with a column that Python can't read."""
        if batch.num_rows == 1:
            return Group([InvalidError(f"The row can't be read: {unreadable[:100]} is out of range or no text.")], 0)
        parts = [self._group(batch.slice(number, 1)) for number in range(batch.num_rows)]
        return Group([row for part in parts for row in part.rows], sum(part.size for part in parts))

    def record(self, row: tuple[Any, ...]) -> Record:
        return self.columns.record(row)

    def records(self, rows: list[tuple[Any, ...]]) -> list[Record]:
        for row in rows:
            refuse_unreadable(row)
        return self.columns.records(rows)

    def described(self, row: tuple[Any, ...]) -> Any:
        return dict(zip(self.columns.names, row, strict=True))

    def _refuse_large_footer(self) -> None:
        """Raise InvalidError for a footer of more than FOOTER_LIMIT. Its length stands before the last four bytes."""
        with self.path.open("rb") as file:
            file.seek(-min(8, self.path.stat().st_size), 2)
            length = int.from_bytes(file.read(8)[:4], "little")
        if FOOTER_LIMIT < length < self.path.stat().st_size:
            raise InvalidError(
                f"{self.path} has a footer of {length:,} bytes; at most {FOOTER_LIMIT:,} are read. Write fewer columns "
                "and larger row groups."
            )

    def _open(self) -> pq.ParquetFile:
        """Open the file, with texts as a dictionary and indices.

        A few kilobytes may repeat a long text a million times.
        """
        return pq.ParquetFile(self.path, buffer_size=BUFFER, pre_buffer=False, read_dictionary=self._texts)


def columns_of_texts(file: pq.ParquetFile) -> list[str]:
    """Return the paths of the columns of texts, and of other bytes in lists and maps, that Arrow can read as indices.

    It can't where a row group has one of the encodings NEVER_AS_INDICES.
    """
    columns = {place: file.schema.column(place) for place in range(len(file.schema))}
    texts = {
        place
        for place, column in columns.items()
        if is_flat_text(column) or (column.max_repetition_level > 0 and column.physical_type.endswith("BYTE_ARRAY"))
    }
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        texts = {place for place in texts if NEVER_AS_INDICES.isdisjoint(group.column(place).encodings)}
    return [columns[place].path for place in sorted(texts)]


def is_flat_text(column: Any) -> bool:
    """Return whether a column has a text a row."""
    return bool(column.path == column.name and column.logical_type.type == "STRING")


def rows_at_once(file: pq.ParquetFile, number: int, *, pages: IO[bytes], kept: str, indexed: Collection[str]) -> int:
    """Return how many rows of a row group can be decoded at once. Raise InvalidError if it takes too much memory.

    `indexed` are the paths of the columns that are read as indices.
    """
    group = file.metadata.row_group(number)
    here = f"Row group {number + 1} can't be read, and {kept}"
    held, nested, per_row = 0, 0, 1.0
    for place in range(group.num_columns):
        chunk = group.column(place)
        sizes = read_pages(pages, chunk)
        held += sizes.largest + sizes.dictionary
        if held > PAGES_LIMIT:
            raise InvalidError(
                f"{here}: with the column {chunk.path_in_schema[:100]}, {held / MEGABYTE:,.0f} MB of pages are needed "
                f"at once; at most {PAGES_LIMIT / MEGABYTE:,.0f} MB are read. Write smaller cells or pages."
            )
        is_nested = file.schema.column(place).max_repetition_level > 0
        nested += chunk.num_values if is_nested else 0
        if nested > NESTED_VALUES_LIMIT:
            raise InvalidError(
                f"{here}: with the column {chunk.path_in_schema[:100]}, its lists and maps have {nested:,} values; at "
                f"most {NESTED_VALUES_LIMIT:,} are read. Write smaller row groups."
            )
        column = file.schema.column(place)
        is_indexed = is_flat_text(column) and column.path in indexed
        per_row += bytes_per_value(chunk, sizes, is_indexed=is_indexed) * max(
            chunk.num_values / max(group.num_rows, 1), 1
        )
    return max(1, int(DECODED_BYTES / per_row))


def bytes_per_value(chunk: Any, sizes: ChunkPages, *, is_indexed: bool) -> float:
    """Return an upper limit of a column chunk's bytes per value, beside two of its largest pages.

    Pages with plain values hold all their bytes. Others repeat a text, or its beginning, however long it is; where it
    `is_indexed`, an index stands for it until few rows are left.
    """
    if not chunk.physical_type.endswith("BYTE_ARRAY"):
        return BYTES_OF_A_NUMBER
    if DIFFERENCES in chunk.encodings:
        return max(sizes.largest, sizes.dictionary)
    return max(BYTES_OF_A_NUMBER if is_indexed else sizes.dictionary, sizes.bytes_per_value)


def bounded_parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield the rows in parts of up to GROUP_BYTES, or single rows."""
    if batch.num_rows <= 1 or size_of(batch.columns) <= GROUP_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from bounded_parts(batch.slice(0, half))
    yield from bounded_parts(batch.slice(half))


def size_of(columns: Iterable[pa.Array]) -> int:
    """Return the bytes of the values, with each text as often as it is repeated."""
    return sum(map(expanded_bytes, columns))


def expanded_bytes(column: pa.Array) -> int:
    """Return the bytes of a column's values, of lists, maps and structs those of their parts."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
        return int(column.indices.nbytes + (pc.sum(lengths).as_py() or 0))
    if pa.types.is_struct(kind):
        return size_of(column.flatten())
    if pa.types.is_map(kind):
        begin, end = column.offsets[0].as_py(), column.offsets[-1].as_py()
        return size_of(part.slice(begin, end - begin) for part in (column.keys, column.items))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return expanded_bytes(column.flatten())
    return int(column.nbytes)


def too_large(batch: pa.RecordBatch) -> InvalidError:
    """Return the reason for which a row is rejected before its values are looked at."""
    sizes = dict(zip(batch.schema.names, map(expanded_bytes, batch.columns), strict=True))
    name, largest = max(sizes.items(), key=lambda pair: pair[1])
    return InvalidError(
        f"The row can't be read: it has {sum(sizes.values()):,} bytes, {largest:,} of them in the column {name[:100]}; "
        f"at most {ROW_LIMIT:,} are possible."
    )


def python_values(name: str, column: pa.Array) -> list[Any]:
    """Return the values of a column, None for null.

    Whole numbers in ID_COLUMNS are converted to text.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
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
