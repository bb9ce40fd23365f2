"""Cursors for statements with large parameters."""

from typing import Any

import psycopg
from django.db import connection


def parameters_beside() -> Any:
    """Return a cursor of Django's that sends its parameters beside the statement.

    Neither are they quoted into it, nor does PostgreSQL read them twice: of a document of some megabytes, that takes a
    third of the time. PostgreSQL has to know the type of each from where it stands, or from a cast.
    """
    connection.ensure_connection()
    return connection._prepare_cursor(psycopg.Cursor(connection.connection))  # type: ignore[attr-defined]
