"""The database engine, which Django finds by the name of this module and its class."""

from functools import cached_property
from types import TracebackType
from typing import Any

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper

from featurehub.database.arrays import ArrayDumper
from featurehub.database.session import Session, database_breaker
from featurehub.lib.background import is_in_background
from featurehub.lib.errors import DatabaseNeeded

MARGIN_MS = 100
WORK_MEM = "32MB"


class PrivateErrors(DatabaseErrorWrapper):
    """Django's translation of psycopg's errors, which keeps PostgreSQL's sentence only.

    The lines after it (DETAIL, CONTEXT, LINE) quote keys, rows and statements with the ids of customers. Errors are
    logged, and some are shown in the admin. `diag` still has these lines.
    """

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc_value, psycopg.Error) and exc_value.diag.message_primary:
            exc_value.args = (exc_value.diag.message_primary,)
        super().__exit__(exc_type, exc_value, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection to PostgreSQL, which gives out no session where none would answer (decision 16)."""

    @cached_property
    def wrap_database_errors(self) -> PrivateErrors:
        return PrivateErrors(self)

    def get_connection_params(self) -> dict[str, Any]:
        """Return Django's parameters, with our dumper of lists."""
        parameters: dict[str, Any] = super().get_connection_params()
        parameters["context"].adapters.register_dumper(list, ArrayDumper)
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a session of the pool.

        Raise DatabaseNeeded in a request of the pool `reads`, and psycopg's OperationalError (PoolTimeout is one) where
        PostgreSQL gave no session within SESSION_SECONDS, or did not answer a moment ago.
        """
        if settings.POOL == "reads" and not is_in_background():
            raise DatabaseNeeded("PostgreSQL is needed, which this process does not use.")
        if database_breaker.is_open:
            raise psycopg.OperationalError("PostgreSQL did not answer a moment ago.")
        try:
            session = super().get_new_connection(conn_params)
        except psycopg.OperationalError as error:
            database_breaker.open(error)
            raise
        if isinstance(session, Session):
            session.is_lent = True
        return session

    def _configure_connection(self, connection: Any) -> bool:
        """Let PostgreSQL itself end what takes too long, a little earlier than the client would.

        So a slow statement costs neither its session nor the others' requests, and is not left running. Workers and
        commands have no such limit; they get memory for the thousands of rows of a chunk, which would go to disk.
        """
        super()._configure_connection(connection)  # type: ignore[misc]
        if settings.DATABASE_SECONDS is None:
            connection.execute(f"set work_mem = '{WORK_MEM}'")
        else:
            connection.execute(f"set statement_timeout = {1000 * settings.DATABASE_SECONDS - MARGIN_MS:.0f}")
        return True

    def _close(self) -> None:
        if isinstance(self.connection, Session):
            self.connection.is_lent = False
        super()._close()  # type: ignore[misc]
