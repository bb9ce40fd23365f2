"""Copy the checked rows of a file into a temporary table, and sort them by customer.

So the rows of one customer stand together, wherever they are in the file, and customers are written in the order in
which the index of the history has them. Where several sessions write, each has all rows of its customers.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import orjson
import psycopg
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from events.copy_text import NULL, encode_json, escaped
from featurehub.files.groups import NumberedGroup, refuse_unreadable
from featurehub.files.rejections import RejectedFile, rejection_line
from featurehub.files.row_files import RowFile, described, numbered_groups, prefetched
from featurehub.lib.copying import copying
from featurehub.lib.errors import InvalidError
from featurehub.lib.progress import Progress
from features.imports.rows import Bounds, ValueRow, check_values, check_values_together

NOTHING_KEPT = "nothing of the file is stored"
DROP = "drop table if exists features_staged, features_sorted"
CREATE = 'create temp table features_staged (customer_id text, place bigint, "timestamp" timestamptz, features jsonb)'
COPY_STAGED = 'copy features_staged (customer_id, place, "timestamp", features) from stdin'
SORT = (
    # The usual limit would sort all but small files on disk.
    "set local work_mem = '256MB'",
    "create temp table features_sorted as select * from features_staged order by customer_id",
    "drop table features_staged",
    "create index on features_sorted (customer_id)",
    # Without figures the planner would read the whole table for each chunk; a few are enough for it.
    "set local default_statistics_target = 10",
    "analyze features_sorted (customer_id)",
)
# As one row with an array, since so many rows take longer to be read.
NEXT_CUSTOMERS = """
select array_agg(customer_id), sum(rows)::bigint from (
    select customer_id, count(*) as rows from features_sorted where customer_id > %s
    group by customer_id order by customer_id limit %s
) following
"""
STAGED_ROWS = """
(
    select customer_id, place, "timestamp", features, null::jsonb as metadata from features_sorted
    where customer_id between %(first)s and %(last)s and customer_id <> all(%(erased)s)
) staged
"""
ROWS_OF = """
select place, customer_id, "timestamp", features from features_sorted where customer_id = any(%s) order by place
"""


class StagedLines(NamedTuple):
    """The rows of a group as lines for COPY, the lines that list the rejected ones, and the number of all of them.

    `copied` has one item a session: each has customers of its own.
    """

    copied: list[bytes]
    accepted: int
    rejected: list[bytes]
    size: int


class Staged(NamedTuple):
    """Number of rows that were staged and that were rejected."""

    accepted: int
    rejected: int


def stage_rows(
    file: RowFile[ValueRow],
    *,
    sessions: Sequence[BaseDatabaseWrapper],
    bounds: Bounds,
    rejected: RejectedFile,
    progress: Progress = lambda rows: None,
) -> Staged:
    """Copy the acceptable rows into the tables `features_staged` of the sessions, and list the others in `rejected`.

    Raise InvalidError if the file can't be read to its end.
    """
    accepted = refused = 0
    groups = read_lines(file, sessions=len(sessions), bounds=bounds, now=datetime.now(UTC))
    with transaction.atomic(), ExitStack() as stack:
        copies = [stack.enter_context(staging_copy(session)) for session in sessions]
        for lines in prefetched(groups):
            for copy, copied in zip(copies, lines.copied, strict=True):
                copy.write(copied)
            for line in lines.rejected:
                rejected.add(line)
            accepted += lines.accepted
            refused += len(lines.rejected)
            progress(lines.size)
    return Staged(accepted, refused)


@contextmanager
def staging_copy(session: BaseDatabaseWrapper) -> Iterator[psycopg.Copy]:
    """Copy rows into the table `features_staged` of the session for the block."""
    with session.cursor() as cursor:
        cursor.execute(DROP)
        cursor.execute(CREATE)
        with copying(cursor, COPY_STAGED) as copy:
            yield copy


def sort_staged() -> None:
    """Make the table `features_sorted` of this session from its staged rows."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in SORT:
            cursor.execute(statement)


def drop_staged() -> None:
    """Drop the tables of this session."""
    with connection.cursor() as cursor:
        cursor.execute(DROP)


def read_lines(file: RowFile[ValueRow], *, sessions: int, bounds: Bounds, now: datetime) -> Iterator[StagedLines]:
    """Yield the rows of the file, group by group."""
    for group in numbered_groups(file, kept=NOTHING_KEPT):
        yield lines_of_group(group, file=file, sessions=sessions, bounds=bounds, now=now)


def lines_of_group(
    group: NumberedGroup, *, file: RowFile[ValueRow], sessions: int, bounds: Bounds, now: datetime
) -> StagedLines:
    """Check the rows of a group and encode them: together first, and singly only if one of them is not acceptable."""
    first, (some, _) = group
    rows = [(number, row) for number, row in enumerate(some, start=first) if row]
    rejected: list[bytes] = []
    try:
        values = file.records([row for _, row in rows])
        check_values_together(values, bounds=bounds, now=now)
        numbers = [number for number, _ in rows]
    except InvalidError:
        numbers, values = [], []
        for number, row in rows:
            try:
                values.append(checked_values(row, file=file, bounds=bounds, now=now))
                numbers.append(number)
            except InvalidError as error:
                rejected.append(rejection_line(number, error=error, data=described(row, file=file)))
    return StagedLines(encode_rows(values, numbers=numbers, sessions=sessions), len(values), rejected, len(some))


def checked_values(row: object, *, file: RowFile[ValueRow], bounds: Bounds, now: datetime) -> ValueRow:
    """Return the values of a row. Raise InvalidError if it is not acceptable."""
    refuse_unreadable(row)
    values = file.record(row)
    check_values(values, bounds=bounds, now=now)
    return values


def encode_rows(rows: Sequence[ValueRow], *, numbers: Sequence[int], sessions: int) -> list[bytes]:
    """Return a line of COPY_STAGED for each row, by the session that has its customer."""
    columns = (
        escaped([row.customer_id for row in rows]),
        map(str, numbers),
        encode_moments([row.timestamp for row in rows]),
        # Names of features and numbers have nothing that COPY would escape.
        [orjson.dumps(row.features).decode() for row in rows],
    )
    lines: list[list[str]] = [[] for _ in range(sessions)]
    for row, line in zip(rows, zip(*columns, strict=True), strict=True):
        lines[hash(row.customer_id) % sessions].append("\t".join(line))
    return ["".join(f"{line}\n" for line in of_session).encode() for of_session in lines]


def encode_moments(moments: Sequence[datetime | None]) -> list[str]:
    """Return the moments in ISO 8601, in UTC: msgspec encodes them together in a fraction of isoformat's time."""
    in_order = [NULL if moment is None else moment.astimezone(UTC) for moment in moments]
    return msgspec.json.decode(encode_json(in_order), type=list[str])
