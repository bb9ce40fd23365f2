"""Values as frames of pandas, polars or pyarrow, and frames as what the API is sent.

Each library is an extra of the package, such as `featurehub-client[pandas]`, and has a module here with the same few
functions. A name without a value is null (NaN in pandas), not its default.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol, TypeVar, cast

from featurehub_client.models import AsOfRow, AsOfRows, FeatureValues, HistoryRow
from featurehub_client.sent import Entity, PatchedRow

AnyFrame = TypeVar("AnyFrame")
CUSTOMER, MOMENT = "customer_id", "timestamp"
# The first part of the name of a frame's module → the library.
LIBRARIES = ("pandas", "polars", "pyarrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns of one length: customers, moments under a name, and name → numbers, None where there is none."""

    customers: Sequence[str]
    moment: str
    moments: Sequence[datetime | None]
    numbers: dict[str, list[float | None]]


class Library(Protocol):
    """The functions of the module of a library."""

    def names_in(self, frame: Any) -> list[str]:
        """Return the names of the columns."""

    def values_in(self, frame: Any, name: str) -> list[Any]:
        """Return a column as Python's values: None for nulls, datetimes for moments."""

    def frame_of(self, columns: Columns) -> Any:
        """Return a frame with these columns."""

    def with_numbers(self, frame: Any, numbers: dict[str, list[float | None]]) -> Any:
        """Return the frame with these columns besides."""


def library_of(frame: object) -> Library:
    """Return the library of a frame. Raise TypeError for anything else."""
    name = type(frame).__module__.partition(".")[0]
    if name not in LIBRARIES:
        raise TypeError(f"A frame is one of {', '.join(LIBRARIES)}, not {type(frame).__name__}.")
    return library(name)


def library(name: str) -> Library:
    """Return the module of a library. Raise ImportError, which says how to install it, where it is missing."""
    extra = "arrow" if name == "pyarrow" else name
    try:
        return cast(Library, import_module(f"featurehub_client.frames.with_{name}"))
    except ModuleNotFoundError as error:
        raise ImportError(f"{error.name} is not installed: pip install 'featurehub-client[{extra}]'.") from error


def to_pandas(rows: AsOfRows | Iterable[FeatureValues | HistoryRow]) -> Any:
    """Return the rows as a pandas.DataFrame: see `columns_of`."""
    return library("pandas").frame_of(columns_of(rows))


def to_polars(rows: AsOfRows | Iterable[FeatureValues | HistoryRow]) -> Any:
    """Return the rows as a polars.DataFrame: see `columns_of`."""
    return library("polars").frame_of(columns_of(rows))


def to_arrow(rows: AsOfRows | Iterable[FeatureValues | HistoryRow]) -> Any:
    """Return the rows as a pyarrow.Table: see `columns_of`."""
    return library("pyarrow").frame_of(columns_of(rows))


def columns_of(rows: AsOfRows | Iterable[FeatureValues | HistoryRow]) -> Columns:
    """Return the columns of as-of rows, of values of customers, or of rows of a history.

    They are `customer_id`, `timestamp` (of values: `computed_at`) and one for each feature, in the order asked.
    """
    each = list(rows.results if isinstance(rows, AsOfRows) else rows)
    is_now = bool(each) and isinstance(each[0], FeatureValues)
    return Columns(
        customers=[row.customer_id for row in each],
        moment="computed_at" if is_now else MOMENT,
        moments=[row.computed_at if isinstance(row, FeatureValues) else row.timestamp for row in each],
        numbers=numbers_of(each),
    )


def numbers_of(rows: Sequence[FeatureValues | HistoryRow | AsOfRow]) -> dict[str, list[float | None]]:
    """Return a column for each feature of the rows."""
    names = dict.fromkeys(name for row in rows for name in row.features)
    return {name: [value_of(row, name) for row in rows] for name in names}


def value_of(row: FeatureValues | HistoryRow | AsOfRow, name: str) -> float | None:
    """Return the row's value, None where it has none."""
    is_missing = not isinstance(row, HistoryRow) and name in row.missing
    return None if is_missing else row.features.get(name)


def entities_in(frame: object) -> Iterator[Entity]:
    """Yield the customer and the moment of each row. Raise ValueError for a row without one of them."""
    found = library_of(frame)
    check_columns(found.names_in(frame), wanted=(CUSTOMER, MOMENT))
    pairs = zip(found.values_in(frame, CUSTOMER), found.values_in(frame, MOMENT), strict=True)
    for place, (customer_id, moment) in enumerate(pairs):
        if customer_id is None or moment is None:
            raise ValueError(f"Row {place} of the frame has no {CUSTOMER} or no {MOMENT}.")
        yield Entity(str(customer_id), with_offset(moment, place=place))


def with_features(frame: AnyFrame, rows: AsOfRows) -> AnyFrame:
    """Return the frame with a column for each feature of the rows, which are in its order."""
    return cast(AnyFrame, library_of(frame).with_numbers(frame, numbers_of(rows.results)))


def rows_in(frame: object) -> Iterator[PatchedRow]:
    """Yield the values of each row of a frame with `customer_id`, optionally `timestamp`, and features."""
    found = library_of(frame)
    names = found.names_in(frame)
    check_columns(names, wanted=(CUSTOMER,))
    features = [name for name in names if name not in (CUSTOMER, MOMENT)]
    customers = found.values_in(frame, CUSTOMER)
    moments = found.values_in(frame, MOMENT) if MOMENT in names else [None] * len(customers)
    columns = [found.values_in(frame, name) for name in features]
    for place, (customer_id, moment, *values) in enumerate(zip(customers, moments, *columns, strict=True)):
        given = {name: value for name, value in zip(features, values, strict=True) if value is not None}
        if given:
            timestamp = None if moment is None else with_offset(moment, place=place)
            yield PatchedRow(customer_id=str(customer_id), features=given, timestamp=timestamp)


def check_columns(names: Iterable[str], *, wanted: Iterable[str]) -> None:
    """Raise ValueError where a column is missing."""
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"The frame has no column {' and no column '.join(missing)}.")


def with_offset(moment: object, *, place: int) -> datetime:
    """Return a row's moment. Raise ValueError for one without an offset, and for what is none."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError(f"Row {place} of the frame has the {MOMENT} {moment}: it is a moment with an offset from UTC.")
    return moment
