"""Open a file of values that clients own."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from featurehub.files.row_files import RecordKind, RowFile, open_rows
from features.formulas.view import FeatureView
from features.imports.rows import Bounds, ValueColumns, ValueLines, ValueRow, bounds_of
from features.imports.staging import NOTHING_KEPT
from features.materialization.client_values import writable_view
from features.registry.contents import Registry
from features.registry.snapshot import registry_snapshot

# A file of fewer rows is written before a second session would have begun.
ROWS_FOR_TWO_SESSIONS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueFile:
    """A file of values, and the version that they are values of."""

    rows: RowFile[ValueRow]
    view: FeatureView
    known: Registry

    @property
    def sessions(self) -> int:
        """Number of sessions of PostgreSQL that write it."""
        return 1 if self.rows.total < ROWS_FOR_TWO_SESSIONS else 2

    @property
    def bounds(self) -> Bounds:
        return bounds_of(self.view, known=self.known)


def open_values(path: Path, *, feature_type: str, version: str | None) -> ValueFile:
    """Return the file, as values of the version; None is the live one.

    Raise InvalidError for a type that clients don't write, or a file that can't be read as such values at all,
    UnknownError for an unknown version.
    """
    known = registry_snapshot.get(younger_than=0)
    number = known.live.get(feature_type, "") if version is None else version.removeprefix(f"{feature_type}:")
    view = writable_view(feature_type, version=number, known=known)
    kind = RecordKind(
        name="values", columns=partial(ValueColumns, view=view), lines=ValueLines(view), kept=NOTHING_KEPT
    )
    return ValueFile(rows=open_rows(path, kind=kind), view=view, known=known)
