"""Import a file of values that clients own: `stage_rows`, then some thousand customers at a time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import orjson
from django.db import connection, transaction

from events.tombstones import ErasedError, erased_among
from featurehub.files.rejections import RejectedFile, rejection_line
from featurehub.files.row_files import RecordKind, RowFile, open_rows
from featurehub.lib.batched import batched
from featurehub.lib.copying import flushed_at_the_end
from featurehub.lib.progress import Progress
from features.formulas.view import FeatureView
from features.imports.rows import Bounds, ValueColumns, ValueLines, ValueRow, bounds_of
from features.imports.staging import NEXT_CUSTOMERS, NOTHING_KEPT, ROWS_OF, STAGED_ROWS
from features.materialization.client_values import is_computed_from, mark_customers, writable_view
from features.materialization.locks import database_now, lock_writers, register_customers
from features.offline.written import append_written
from features.online.outbox import announce
from features.online.publish import PUBLISHED_PER_CHUNK
from features.registry.contents import Registry
from features.registry.snapshot import registry_snapshot

# Other writers of the same type wait for as long as so many customers take, about a tenth of a second.
CUSTOMERS_PER_TRANSACTION = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueFile:
    """A file of values, and the version that they are values of."""

    rows: RowFile[ValueRow]
    view: FeatureView
    known: Registry

    @property
    def bounds(self) -> Bounds:
        return bounds_of(self.view, known=self.known)


@dataclass(slots=True, kw_only=True)
class Written:
    """Number of rows that history grew by, and of rows whose customers were erased."""

    appended: int = 0
    erased: int = 0


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


def write_staged(file: ValueFile, *, rejected: RejectedFile, progress: Progress = lambda rows: None) -> Written:
    """Write what is staged, one transaction for CUSTOMERS_PER_TRANSACTION, and list rows of erased customers.

    `progress` is called with the number of rows of each transaction. An interrupted import can be run again: what was
    written is not changed by being written again.
    """
    written, after = Written(), ""
    with flushed_at_the_end():
        while numbers := next_customers(after):
            appended, erased = write_customers(numbers, file=file)
            for line in lines_of_erased(erased):
                rejected.add(line)
                written.erased += 1
            written.appended += appended
            after = next(reversed(numbers))
            progress(sum(numbers.values()))
    return written


def next_customers(after: str) -> dict[str, int]:
    """Return the next customers after this one, with the number of their rows."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_CUSTOMERS, [after, CUSTOMERS_PER_TRANSACTION])
        return dict(cursor.fetchall())


def write_customers(numbers: Mapping[str, int], *, file: ValueFile) -> tuple[int, set[str]]:
    """Append the staged rows of customers, in one transaction. Return their number, and who was erased.

    `numbers`: customer → number of staged rows, in the order of `next_customers`. The values of those who changed are
    published by the workers: with the computation that they are marked for, or from the outbox.
    """
    view, customer_ids = file.view, list(numbers)
    with transaction.atomic():
        lock_writers(customer_ids, feature_type=view.feature_type)
        erased = erased_among(customer_ids)
        register_customers([customer_id for customer_id in customer_ids if customer_id not in erased])
        now = database_now()
        appended = append_written(
            STAGED_ROWS,
            {"first": customer_ids[0], "last": customer_ids[-1], "erased": list(erased)},
            is_one_each=sum(numbers.values()) == len(numbers),
            feature_type=view.feature_type,
            version=view.number,
            now=now,
        )
        hand_to_workers(sorted(appended), file=file, now=now)
    return sum(appended.values()), erased


def hand_to_workers(customer_ids: Sequence[str], *, file: ValueFile, now: datetime) -> None:
    """Mark the customers if anything is computed from what was written, else have them published."""
    view = file.view
    if is_computed_from(view.names, feature_type=view.feature_type, version=view.number, known=file.known):
        mark_customers(customer_ids, due_at=now)
        return
    for chunk in batched(customer_ids, PUBLISHED_PER_CHUNK):
        announce(chunk, left_for=timedelta())


def lines_of_erased(erased: Collection[str]) -> list[bytes]:
    """Return the lines that list the staged rows of erased customers."""
    if not erased:
        return []
    with connection.cursor() as cursor:
        cursor.execute(ROWS_OF, [list(erased)])
        return [line_of_erased(*row) for row in cursor.fetchall()]


def line_of_erased(place: int, customer_id: str, timestamp: datetime | None, features: str) -> bytes:
    """Return the line that lists a row of an erased customer."""
    moment = {} if timestamp is None else {"timestamp": timestamp}
    data = {"customer_id": customer_id, **moment, **orjson.loads(features)}
    return rejection_line(place, error=ErasedError([customer_id]), data=data)
