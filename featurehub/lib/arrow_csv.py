"""Read PostgreSQL's CSV into Arrow's batches.

Apart from the export, which loads pyarrow.dataset and with it pandas where that is installed: half a second that most
processes never need.
"""

import io
from collections.abc import Iterator

import pyarrow as pa
from pyarrow import csv

from featurehub.lib.copying import BLOCK_BYTES

MOMENT_TYPE = pa.timestamp("us", tz="UTC")
TEXT_TYPE = pa.string()


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
