"""Convert the rows of a file to values of customers, for all file formats, and check them."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from events.validation import Moment, check_customer_id, check_customer_ids, check_timestamp
from featurehub.files.groups import check_column_names
from featurehub.lib.clock import MOMENT_EXAMPLE, in_utc
from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import listed
from features.formulas.view import FeatureView
from features.materialization.client_values import check_value
from features.registry.contents import Registry

ID_COLUMN, MOMENT_COLUMN = "customer_id", "timestamp"
Bounds = Mapping[str, tuple[float | None, float | None]]
# A wrong cell is repeated up to this length.
LONGEST_CELL = 60


class ValueRow(NamedTuple):
    """The values of a customer in a row of a file; no timestamp is the moment of the import."""

    customer_id: str
    timestamp: datetime | None
    features: dict[str, float]


class ValueColumns:
    """The columns of a file: `customer_id`, perhaps `timestamp`, and one for each feature."""

    def __init__(
        self, names: Sequence[str], *, path: Path, absent: str | None, types: Sequence[Any] = (), view: FeatureView
    ) -> None:
        """Take the names of the columns in their order; a cell that equals `absent` has no value.

        Raise InvalidError for a column that is missing, repeated, of no feature of the version, or not of numbers.
        """
        check_column_names(names, path=path, required=[ID_COLUMN])
        self.names = list(names)
        self.features = [name for name in names if name not in (ID_COLUMN, MOMENT_COLUMN)]
        self.absent = absent
        version = f"{view.feature_type}:{view.number}"
        unknown = [name for name in self.features if name not in view.names]
        if unknown:
            are = "is no feature" if len(unknown) == 1 else "are no features"
            shown = listed([name[:LONGEST_CELL] for name in unknown[:20]])
            raise InvalidError(f"{shown} in {path} {are} of {version}, which has {listed(view.names)}.")
        if not self.features:
            raise InvalidError(f"{path} has no column of a feature of {version}, which has {listed(view.names)}.")
        for name, kind in zip(names, types, strict=bool(types)):
            if name in self.features and not is_of_numbers(kind):
                raise InvalidError(
                    f"The column {name} in {path} is of the type {kind}; values are numbers. Cast it where the file is "
                    "written."
                )

    def record(self, values: Sequence[Any]) -> ValueRow:
        """Return the values of a row. Raise InvalidError if it can't be read."""
        if len(values) != len(self.names):
            raise InvalidError(f"The row has {len(values)} values for {len(self.names)} columns.")
        cells = {name: cell for name, cell in zip(self.names, values, strict=True) if cell not in (None, self.absent)}
        features = {name: as_value(name, cells[name]) for name in self.features if name in cells}
        return ValueRow(as_customer_id(cells.get(ID_COLUMN)), as_timestamp(cells.get(MOMENT_COLUMN)), features)

    def records(self, rows: Sequence[Sequence[Any]]) -> list[ValueRow]:
        """Return the values of many rows, converted by column in a fraction of the time.

        Raise InvalidError if one of the rows can't be read this way: call `record` for each row then.
        """
        if not rows:
            return []
        try:
            cells = dict(zip(self.names, zip(*rows, strict=True), strict=True))
            customer_ids = msgspec.convert(cells[ID_COLUMN], list[str])
            moments = msgspec.convert(self._values(cells.get(MOMENT_COLUMN), len(rows)), list[Moment | None])
            columns = [self._numbers(cells[name]) for name in self.features]
        except (TypeError, ValueError):
            raise InvalidError("One of the rows can't be read.") from None
        of_rows = zip(*columns, strict=True)
        if any(None in column for column in columns):
            features = [
                {name: value for name, value in zip(self.features, row, strict=True) if value is not None}
                for row in of_rows
            ]
        else:
            features = [dict(zip(self.features, row, strict=True)) for row in of_rows]
        return [ValueRow(*row) for row in zip(customer_ids, moments, features, strict=True)]

    def _values(self, cells: Sequence[Any] | None, number: int) -> Sequence[Any]:
        """Return a column's values, None where there is none."""
        if cells is None:
            return [None] * number
        return cells if self.absent is None else [None if cell == self.absent else cell for cell in cells]

    def _numbers(self, cells: Sequence[Any]) -> list[float | None]:
        """Return a column's numbers; cells of text are numbers in a format of text only."""
        if self.absent is None:
            return [None if cell is None else float(cell) for cell in cells]
        return msgspec.convert(self._values(cells, len(cells)), list[float | None], strict=False)


def is_of_numbers(kind: Any) -> bool:
    """Return whether a column of Parquet has numbers, or only nulls."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def as_value(name: str, cell: Any) -> float:
    """Return the number of a cell. Raise InvalidError if it is none."""
    try:
        return msgspec.convert(cell, float, strict=False) if isinstance(cell, str) else float(cell)
    except (msgspec.ValidationError, ValueError) as error:
        is_too_large = str(error) == "Number out of range"
        no_number = f"It must be a number, not {str(cell)[:LONGEST_CELL]!r}."
        raise InvalidError("The number is too large." if is_too_large else no_number, attr=name) from None


def as_customer_id(cell: Any) -> str:
    """Return the id of a cell. Raise InvalidError if there is none."""
    if cell is None:
        raise InvalidError("This field is required.", attr=ID_COLUMN, code="required")
    if not isinstance(cell, str):
        raise InvalidError("It must be a text or a whole number.", attr=ID_COLUMN)
    return cell


def as_timestamp(cell: Any) -> datetime | None:
    """Return the moment of a cell, None for none. Raise InvalidError if it is no moment."""
    try:
        return msgspec.convert(cell, Moment | None)
    except (msgspec.ValidationError, ValueError):
        detail = f"It must be a moment in ISO 8601 with an offset, such as {MOMENT_EXAMPLE}."
        raise InvalidError(detail, attr=MOMENT_COLUMN) from None


class ValueLines:
    """The lines of a file of JSON Lines: `{"customer_id": "c1", "churn_score": 0.5}`."""

    def __init__(self, view: FeatureView) -> None:
        # By other names than the features', which need not be names of Python's.
        fields = {f"value_{place}": name for place, name in enumerate(view.names)}
        self.names = list(view.names)
        self.type = msgspec.defstruct(
            "ValueLine",
            [
                (ID_COLUMN, str),
                (MOMENT_COLUMN, Moment | None, None),
                *((field, float | None, None) for field in fields),
            ],
            rename={ID_COLUMN: ID_COLUMN, MOMENT_COLUMN: MOMENT_COLUMN, **fields},
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(self.type)

    def decode(self, line: bytes, /) -> ValueRow:
        """Return the values of a line."""
        customer_id, timestamp, *values = msgspec.structs.astuple(self._decoder.decode(line))
        features = {name: value for name, value in zip(self.names, values, strict=True) if value is not None}
        return ValueRow(customer_id, timestamp, features)

    def fewest_keys(self, rows: Sequence[ValueRow], /) -> int:
        """Return the number of keys in the lines of these values, without those whose value is null."""
        return sum(1 + (row.timestamp is not None) + len(row.features) for row in rows)


def bounds_of(view: FeatureView, *, known: Registry) -> Bounds:
    """Return the bounds of each of the version's features."""
    return {name: known.definitions[name].bounds for name in view.names}


def check_values_together(rows: Sequence[ValueRow], *, bounds: Bounds, now: datetime) -> None:
    """Check all rows at once, in a fraction of the time of `check_values` for each.

    Raise InvalidError if one of them is not acceptable. Call `check_values` to find out which.
    """
    check_customer_ids([row.customer_id for row in rows], attr=ID_COLUMN)
    moments = [row.timestamp for row in rows if row.timestamp is not None]
    for moment in (min(moments), max(moments)) if moments else ():
        check_timestamp(in_utc(moment, attr=MOMENT_COLUMN), now=now)
    limits = {
        name: (-math.inf if least is None else least, math.inf if most is None else most)
        for name, (least, most) in bounds.items()
    }
    for row in rows:
        if not row.features:
            raise InvalidError("One of the rows has no value.")
        for name, value in row.features.items():
            least, most = limits[name]
            if not (least <= value <= most and math.isfinite(value)):
                raise InvalidError("One of the values is out of range.")


def check_values(row: ValueRow, *, bounds: Bounds, now: datetime) -> None:
    """Raise InvalidError with `attr`, the column, if something in a row is not acceptable."""
    check_customer_id(row.customer_id)
    if row.timestamp is not None:
        check_timestamp(in_utc(row.timestamp, attr=MOMENT_COLUMN), now=now)
    if not row.features:
        raise InvalidError("The row has no value.")
    for name, value in row.features.items():
        try:
            check_value(name, value=value, bounds=bounds[name])
        except InvalidError as error:
            raise InvalidError(error.detail, attr=name) from None
