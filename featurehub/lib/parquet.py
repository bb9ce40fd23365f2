"""Export queries as Parquet, partitioned by date.

The rows are streamed through COPY, so that the memory used does not grow with their number.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.dataset as ds
from django.db import connection, transaction
from pyarrow import csv

COPY_OUT = "copy ({query}) to stdout (format csv)"
BLOCK_BYTES = 4 * 1024 * 1024
ROWS_PER_GROUP = 250_000
MOMENT_TYPE = pa.timestamp("us", tz="UTC")
TEXT_TYPE = pa.string()


def export(
    query: str, *, columns: Mapping[str, pa.DataType], to: Path, progress: Callable[[int], object] = lambda rows: None
) -> int:
    """Write the query's rows to `to`/date=YYYY-MM-DD/*.parquet and return their number.

    Files of the same dates are replaced. `columns` are those of the query in their order; the query has a further
    column, `date`, of type text, as its last one. `progress` is called with the number of rows of each batch.
    """
    schema = pa.schema([*columns.items(), ("date", TEXT_TYPE)])
    rows = 0

    def batches(stream: io.BufferedReader) -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in read_csv(stream, schema=schema):
            rows += batch.num_rows
            progress(batch.num_rows)
            yield batch

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local time zone 'UTC'")
        copying = cursor.copy(COPY_OUT.format(query=query))
        with connection.wrap_database_errors, copying as copy, CopyStream(copy) as raw:
            ds.write_dataset(
                pa.RecordBatchReader.from_batches(schema, batches(io.BufferedReader(raw, BLOCK_BYTES))),
                to,
                format="parquet",
                partitioning=ds.partitioning(pa.schema([("date", TEXT_TYPE)]), flavor="hive"),
                existing_data_behavior="delete_matching",
                max_rows_per_group=ROWS_PER_GROUP,
                use_threads=False,
            )
    return rows


def read_csv(stream: io.BufferedReader, *, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield batches of the rows in PostgreSQL's CSV, or no batch if there are no rows.

    An empty text is quoted, a null is not.
    """
    if not stream.peek(1):
        return
    yield from csv.open_csv(
        stream,
        read_options=csv.ReadOptions(column_names=schema.names, block_size=BLOCK_BYTES, use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
        ),
    )


class CopyStream(io.RawIOBase):
    """The output of COPY as a file that can be read once."""

    def __init__(self, copy: psycopg.Copy) -> None:
        self._blocks = iter(copy)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
