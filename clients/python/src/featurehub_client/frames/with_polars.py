"""Frames of polars."""

from typing import Any

import polars as pl

from featurehub_client.frames import CUSTOMER, Columns


def names_in(frame: Any) -> list[str]:
    """Return the names of the columns."""
    return list(frame.columns)


def values_in(frame: Any, name: str) -> list[Any]:
    """Return a column as Python's values."""
    return list(frame[name].to_list())


def frame_of(columns: Columns) -> Any:
    """Return a DataFrame with these columns."""
    head = pl.DataFrame(
        [
            pl.Series(CUSTOMER, columns.customers, dtype=pl.String),
            pl.Series(columns.moment, columns.moments, dtype=pl.Datetime("us", "UTC")),
        ]
    )
    return with_numbers(head, columns.numbers)


def with_numbers(frame: Any, numbers: dict[str, list[float | None]]) -> Any:
    """Return the frame with these columns besides, as Float64 with nulls."""
    return frame.with_columns([pl.Series(name, values, dtype=pl.Float64) for name, values in numbers.items()])
