"""Further databases beside the test run's own: of PostgreSQL and of Redis, empty at first and gone afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis
from django.db import connection


@contextmanager
def made_database(name: str) -> Iterator[str]:
    """Make an empty database on the test run's PostgreSQL. Yield its URL. Not for use inside a transaction."""
    own = f"{connection.settings_dict['NAME']}_{name}"
    quoted = connection.ops.quote_name(own)
    with connection.cursor() as cursor:
        cursor.execute(f"drop database if exists {quoted} with (force)")
        cursor.execute(f"create database {quoted} template template0")
    yield urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{own}").geturl()
    with connection.cursor() as cursor:
        cursor.execute(f"drop database {quoted} with (force)")


@contextmanager
def redis_database(number: int) -> Iterator[str]:
    """Empty a database of the test run's Redis, from 1 on. Yield its URL."""
    url = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number}").geturl()
    with redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()
