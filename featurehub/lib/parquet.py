"""Export queries as Parquet, partitioned by date.

The rows are streamed through COPY, so that the memory used does not grow with their number.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from django.db import connection, transaction
from pyarrow import csv

from featurehub.lib.copying import BLOCK_BYTES, copy_stream

COPY_OUT = "copy ({query}) to stdout (format csv)"
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
        with copy_stream(cursor, COPY_OUT.format(query=query)) as stream:
            ds.write_dataset(
                pa.RecordBatchReader.from_batches(schema, batches(stream)),
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
