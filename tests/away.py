"""Servers that are away: connections go to an address on which no server listens, or sessions are ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, connections
from django.test import override_settings

from features.online import hmget

NOBODY = "127.0.0.1:1"
END_OTHER_SESSIONS = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


def nobody_at(url: str) -> str:
    """Return the URL with an address on which no server listens."""
    parts = urlsplit(url)
    user, separator, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{separator}{NOBODY}").geturl()


@contextmanager
def redis_away() -> Iterator[None]:
    """Make Redis unreachable within the block."""
    cache = {**settings.CACHES["default"], "LOCATION": nobody_at(settings.REDIS_URL)}
    with override_settings(CACHES={"default": cache}):
        hmget.thread_connection.connection = None
        yield
    hmget.thread_connection.connection = None


@contextmanager
def postgres_away() -> Iterator[None]:
    """Make PostgreSQL unreachable within the block; for tests on the `committed` database."""
    known: dict[str, Any] = connection.settings_dict
    before = {name: known[name] for name in ("HOST", "PORT", "OPTIONS")}
    quick = {**known["OPTIONS"], "pool": {**known["OPTIONS"]["pool"], "timeout": 0.3}}
    host, _, port = NOBODY.partition(":")
    try:
        change_database(HOST=host, PORT=port, OPTIONS=quick)
        yield
    finally:
        change_database(**before)


def change_database(**changes: Any) -> None:
    """Close all connections, and change the settings of those to come."""
    connections.close_all()
    connection.close_pool()
    connection.settings_dict.update(changes)
