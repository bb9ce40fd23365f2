"""Tables of pyarrow."""

from typing import Any

import pyarrow as pa

from featurehub_client.frames import CUSTOMER, Columns


def names_in(frame: Any) -> list[str]:
    """Return the names of the columns."""
    return list(frame.column_names)


def values_in(frame: Any, name: str) -> list[Any]:
    """Return a column as Python's values; moments to the microsecond, the finest that FeatureHub stores."""
    column = frame.column(name)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    return list(column.to_pylist())


def frame_of(columns: Columns) -> Any:
    """Return a Table with these columns."""
    head = pa.table(
        {
            CUSTOMER: pa.array(columns.customers, pa.string()),
            columns.moment: pa.array(columns.moments, pa.timestamp("us", tz="UTC")),
        }
    )
    return with_numbers(head, columns.numbers)


def with_numbers(frame: Any, numbers: dict[str, list[float | None]]) -> Any:
    """Return the table with these columns besides, as double with nulls; a column of the same name is replaced."""
    for name, values in numbers.items():
        column = pa.array(values, pa.float64())
        place = frame.schema.get_field_index(name)
        frame = frame.append_column(name, column) if place < 0 else frame.set_column(place, name, column)
    return frame
