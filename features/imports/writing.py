"""Write the staged rows of a file: some thousand customers a transaction, and a large file in two sessions at once."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple

import orjson
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from events.tombstones import ErasedError, erased_among
from featurehub.files.rejections import RejectedFile, rejection_line
from featurehub.lib.batched import batched
from featurehub.lib.copying import flushed_at_the_end
from featurehub.lib.progress import Progress
from features.imports.sessions import in_each
from features.imports.staging import NEXT_CUSTOMERS, ROWS_OF, STAGED_ROWS, drop_staged, sort_staged
from features.imports.value_files import ValueFile
from features.materialization.client_values import is_computed_from, mark_customers
from features.materialization.locks import database_now, lock_writers, only_import, register_customers
from features.offline.written import append_written
from features.online.outbox import announce
from features.online.publish import PUBLISHED_PER_CHUNK

# Other writers of the same type wait for as long as so many customers take, about a tenth of a second.
CUSTOMERS_PER_TRANSACTION = 8_000


class StagedCustomers(NamedTuple):
    """Customers in the order of their ids, and the number of their rows."""

    customer_ids: list[str]
    rows: int


class Written(NamedTuple):
    """Number of rows that history grew by, and of rows whose customers were erased."""

    appended: int
    erased: int


class Writer:
    """Write sorted rows, in the session of each thread that calls `write`, and count what was written."""

    def __init__(self, file: ValueFile, *, rejected: RejectedFile, progress: Progress) -> None:
        self.appended = self.erased = 0
        self.has_failed = False
        self._file = file
        self._rejected = rejected
        self._progress = progress
        self._noting = Lock()

    def write(self) -> None:
        """Sort and write what is staged in this session, until another thread fails."""
        try:
            sort_staged()
            with flushed_at_the_end():
                self._write_sorted()
            drop_staged()
        except BaseException:
            self.has_failed = True
            raise

    def _write_sorted(self) -> None:
        after = ""
        while not self.has_failed and (following := next_customers(after)).customer_ids:
            appended, erased = write_customers(following, file=self._file)
            self._note(following, appended=appended, refused=lines_of_erased(erased))
            after = following.customer_ids[-1]

    def _note(self, staged: StagedCustomers, *, appended: int, refused: Sequence[bytes]) -> None:
        """Count the rows of a transaction, and list those of erased customers."""
        with self._noting:
            self.appended += appended
            self.erased += len(refused)
            for line in refused:
                self._rejected.add(line)
            self._progress(staged.rows)


def write_staged(
    file: ValueFile,
    *,
    sessions: Sequence[BaseDatabaseWrapper],
    rejected: RejectedFile,
    progress: Progress = lambda rows: None,
) -> Written:
    """Write the rows that are staged in the sessions, and list those of erased customers.

    `progress` is called with the number of rows of each transaction. An interrupted import can be run again: what was
    written is not changed by being written again.
    """
    writer = Writer(file, rejected=rejected, progress=progress)
    with only_import(feature_type=file.view.feature_type):
        in_each(sessions, writer.write)
    return Written(writer.appended, writer.erased)


def next_customers(after: str) -> StagedCustomers:
    """Return the next customers after this one."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_CUSTOMERS, [after, CUSTOMERS_PER_TRANSACTION])
        customer_ids, rows = cursor.fetchone()
    return StagedCustomers(customer_ids or [], rows or 0)


def write_customers(staged: StagedCustomers, *, file: ValueFile) -> tuple[int, set[str]]:
    """Append the staged rows of customers, in one transaction. Return their number, and who was erased.

    The values of those who changed are published by the workers: with the computation that they are marked for, or from
    the outbox.
    """
    view, customer_ids = file.view, staged.customer_ids
    with transaction.atomic():
        lock_writers(customer_ids, feature_type=view.feature_type, is_import=True)
        erased = erased_among(customer_ids)
        register_customers([customer_id for customer_id in customer_ids if customer_id not in erased])
        now = database_now()
        appended = append_written(
            STAGED_ROWS,
            {"first": customer_ids[0], "last": customer_ids[-1], "erased": list(erased)},
            is_one_each=staged.rows == len(customer_ids),
            feature_type=view.feature_type,
            version=view.number,
            now=now,
        )
        hand_to_workers(appended.customer_ids, file=file, now=now)
    return appended.number, erased


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
