"""Frames of pandas."""

from typing import Any

import pandas as pd

from featurehub_client.frames import CUSTOMER, Columns


def names_in(frame: Any) -> list[str]:
    """Return the names of the columns."""
    return [str(name) for name in frame.columns]


def values_in(frame: Any, name: str) -> list[Any]:
    """Return a column as Python's values; moments to the microsecond, the finest that FeatureHub stores."""
    column = frame[name]
    return [None if is_null else plain(value) for value, is_null in zip(column.tolist(), column.isna(), strict=True)]


def plain(value: Any) -> Any:
    """Return a Timestamp as a datetime, and anything else as it is."""
    return value.to_pydatetime(warn=False) if isinstance(value, pd.Timestamp) else value


def frame_of(columns: Columns) -> Any:
    """Return a DataFrame with these columns."""
    moments = pd.to_datetime(pd.Series(columns.moments, dtype=object), utc=True)
    head = pd.DataFrame({CUSTOMER: pd.Series(columns.customers, dtype=object), columns.moment: moments})
    return with_numbers(head, columns.numbers)


def with_numbers(frame: Any, numbers: dict[str, list[float | None]]) -> Any:
    """Return the frame with these columns besides, as float64 with NaN for None."""
    added = pd.DataFrame(
        {name: pd.Series(values, index=frame.index, dtype="float64") for name, values in numbers.items()},
        index=frame.index,
    )
    return frame.assign(**{name: added[name] for name in added.columns})
