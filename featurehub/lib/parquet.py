"""Export queries as Parquet, partitioned by date.

The rows are streamed through COPY, so that the memory used does not grow with their number.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from django.db import connection, transaction

from featurehub.lib.arrow_csv import TEXT_TYPE, read_csv
from featurehub.lib.copying import copy_stream

COPY_OUT = "copy ({query}) to stdout (format csv)"
ROWS_PER_GROUP = 250_000


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
