"""Convert the named values of a row to an event, for all file formats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from events.validation import REQUIRED_FIELDS, NewEvent
from featurehub.files.groups import check_column_names
from featurehub.lib.errors import InvalidError, json_problem
from featurehub.lib.wrong_shapes import wrong_shape

# Columns that are fields of the event. Values of other columns are added to its metadata, which is where events have
# their amount and category.
FIELDS = (*REQUIRED_FIELDS, "event_id", "session_id", "metadata")
AMOUNT = "amount"
# Types of whole columns, by field.
KINDS = {field.name: list[field.type] for field in msgspec.structs.fields(NewEvent)}  # type: ignore[name-defined]

decode_json = msgspec.json.Decoder().decode


class EventColumns:
    """The columns of a file, and the conversion of its rows to events."""

    def __init__(self, names: Sequence[str], *, path: Path, absent: str | None, types: Sequence[Any] = ()) -> None:
        """Take the names of the columns in their order; a cell that equals `absent` has no value.

        Raise InvalidError if a required column is missing, a name is repeated or there are too many.
        """
        check_column_names(names, path=path, required=REQUIRED_FIELDS)
        self.names = list(names)
        self.absent = absent
        self._fields = [(name, position) for position, name in enumerate(names) if name in FIELDS]
        self._further = [(name, position) for position, name in enumerate(names) if name not in FIELDS]

    def record(self, values: Sequence[Any]) -> NewEvent:
        """Return the event of a row. Raise InvalidError if it can't be read."""
        if len(values) != len(self.names):
            raise InvalidError(f"The row has {len(values)} values for {len(self.names)} columns.")
        absent = self.absent
        fields = {name: values[position] for name, position in self._fields if values[position] != absent}
        further = {name: values[position] for name, position in self._further if values[position] != absent}
        if "metadata" in fields:
            fields["metadata"] = as_object(fields["metadata"])
        if AMOUNT in further:
            further[AMOUNT] = as_number(further[AMOUNT])
        return as_event(fields, further=further)

    def records(self, rows: Sequence[Sequence[Any]]) -> list[NewEvent]:
        """Return the events of many rows, converted by column in a third of the time.

        Raise InvalidError if one of the rows can't be read this way: call `record` for each row then.
        """
        try:
            cells = dict(zip(self.names, zip(*rows, strict=True), strict=True))
            columns = {name: msgspec.convert(self._values(name, cells), KINDS[name]) for name in FIELDS}
            for name, _ in self._further:
                add_further(columns["metadata"], name=name, values=self._values(name, cells))
        except (TypeError, ValueError, RecursionError):
            raise InvalidError("One of the rows can't be read.") from None
        return [
            # In the order of FIELDS.
            NewEvent(customer_id=a, event_type=b, timestamp=c, event_id=d, session_id=e, metadata=f)
            for a, b, c, d, e, f in zip(*columns.values(), strict=True)
        ]

    def _values(self, name: str, cells: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        """Return a column's value in every row, or None if it has none.

        Metadata is returned as an object, {} if it has no value.
        """
        values = cells.get(name) or [None] * len(cells[REQUIRED_FIELDS[0]])
        if self.absent is not None:
            values = [None if cell == self.absent else cell for cell in values]
        return [{} if value is None else as_object(value) for value in values] if name == "metadata" else values


def add_further(metadata: Sequence[dict[str, Any]], *, name: str, values: Sequence[Any]) -> None:
    """Add a further column's values to the metadata of each row."""
    for known, value in zip(metadata, values, strict=True):
        if value is not None:
            known[name] = as_number(value) if name == AMOUNT else value


def as_event(fields: dict[str, Any], *, further: Mapping[str, Any]) -> NewEvent:
    """Return the event with these FIELDS and with the further values added to its metadata.

    Raise InvalidError if a field is missing or has the wrong type.
    """
    if further:
        metadata = fields.get("metadata", {})
        if isinstance(metadata, dict):
            fields["metadata"] = {**metadata, **further}
    try:
        return msgspec.convert(fields, NewEvent)
    except msgspec.ValidationError as error:
        raise wrong_shape(error, wanted=NewEvent) from None
    except RecursionError:
        raise InvalidError("It is nested too deeply.") from None
    except ValueError:
        raise InvalidError("It holds a value that can't be read.") from None


def as_object(value: object) -> object:
    """Return the object of a metadata cell: JSON text, a struct without its absent members, or a list of pairs."""
    if isinstance(value, str):
        try:
            return decode_json(value)
        except (ValueError, RecursionError) as error:
            raise InvalidError(f"The metadata is not JSON: {json_problem(error)}.", attr="metadata") from None
    if isinstance(value, Mapping):
        return {name: part for name, part in value.items() if part is not None}
    if isinstance(value, list) and all(isinstance(pair, tuple) for pair in value):
        return dict(value)
    return value


def as_number(value: object) -> object:
    """Return the number of an amount cell, which may be a number, a text or a decimal."""
    try:
        return msgspec.convert(str(value), float, strict=False)
    except (msgspec.ValidationError, ValueError):
        raise InvalidError("The amount must be a number.", attr=AMOUNT) from None
