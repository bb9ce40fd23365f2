"""Sessions of PostgreSQL that do not wait longer than the process may."""

from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, connections
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

from featurehub.lib.breaker import Breaker

WAIT_INTERVAL = 0.1  # psycopg's default


class Session(psycopg.Connection[Any]):
    """A session on which no single wait for PostgreSQL takes longer than DATABASE_SECONDS.

    The limit is the client's. A stopped server runs no `statement_timeout`, and its kernel still acknowledges what it
    is sent, so that no TCP timeout ends either. A statement, a block of a COPY and a commit are a wait each.
    """

    # The pool's own check of a session, and what it sends to a new one, have SESSION_SECONDS: a thread waits for them.
    is_lent = False

    def wait(self, gen: PQGen[RV], interval: float = WAIT_INTERVAL, timeout: float | None = None) -> RV:
        """Return the result of the generator, as psycopg's method does.

        Raise OperationalError, and close the session, if PostgreSQL has not answered in time. The answer may still
        come, and nobody could tell it from that to a later statement.
        """
        limit = settings.DATABASE_SECONDS
        if limit is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        if not self.is_lent:
            limit = min(limit, settings.SESSION_SECONDS)
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            # PostgreSQL's own errors have a code, and what it has ended is not active any more.
            if error.sqlstate is not None or self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.close()
            late = psycopg.OperationalError(f"PostgreSQL did not answer within {limit:g} seconds.")
            database_breaker.open(late)
            raise late from error


def query_once() -> None:
    """Query PostgreSQL on a session of the pool. Where that fails, empty the pool: its sessions may be as dead."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except Exception:
        connection.pool.drain()  # type: ignore[attr-defined]  # of the engine in `base`
        raise
    finally:
        connections.close_all()


database_breaker = Breaker("PostgreSQL", probe=query_once)
