"""PostgreSQL's COPY on a Django cursor, and commits of bulk loads."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg import sql

BLOCK_BYTES = 4 * 1024 * 1024


@contextmanager
def copying(cursor: CursorWrapper, statement: str | sql.Composed) -> Iterator[psycopg.Copy]:
    """Run a COPY statement for the block. Errors of PostgreSQL are Django's there, as those of `execute` are.

    `cursor.copy` is psycopg's own, of which Django knows nothing.
    """
    with cursor.db.wrap_database_errors, cursor.copy(statement) as copy:
        yield copy


@contextmanager
def copy_stream(cursor: CursorWrapper, statement: str | sql.Composed) -> Iterator[io.BufferedReader]:
    """Run a COPY … TO STDOUT for the block, which gets its output as a file that can be read once."""
    with copying(cursor, statement) as copy, CopyStream(copy) as raw:
        yield io.BufferedReader(raw, BLOCK_BYTES)


@contextmanager
def flushed_at_the_end() -> Iterator[None]:
    """Let commits in the block return before they are on disk, and flush all of them at its end.

    The last statement commits with a flush of the write-ahead log, which includes all earlier commits.
    """
    with connection.cursor() as cursor:
        cursor.execute("set synchronous_commit = off")
        try:
            yield
        finally:
            cursor.execute("reset synchronous_commit")
            cursor.execute("select pg_current_xact_id()")


class CopyStream(io.RawIOBase):
    """The output of COPY as a file that can be read once."""

    def __init__(self, copy: psycopg.Copy) -> None:
        self._blocks = iter(copy)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
