"""A clock that tests move: PostgreSQL's, Python's where the served moment depends on it, and the TTLs of Redis.

Time stands still between two calls of `Clock.go_on`, so that a test knows every moment exactly.
"""

import math
from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType

import pytest
import redis
from django.db import connection

from events.api import views as events_views
from features.api.views import customers as customer_views
from features.serving import render

# Functions of this schema are found before those of the same name in pg_catalog. They go with the transaction.
MOVE_CLOCK = "".join(
    f"create function moved_clock.{name}() returns timestamptz language sql stable"
    " as $$ select current_setting('tests.now')::timestamptz $$;"
    for name in ("clock_timestamp", "statement_timestamp", "transaction_timestamp", "now")
)
TTLS_ARE_MULTIPLES_OF = 10
# The modules of the API that read Python's clock.
READERS_OF_THE_CLOCK: tuple[ModuleType, ...] = (events_views, customer_views, render)


class Clock:
    """The moment that everybody takes for now. `begin` comes first in a transaction, which is to be rolled back."""

    def __init__(self, own_redis: "redis.Redis[bytes]") -> None:
        self.redis = own_redis
        self.now = datetime.now(UTC)

    def begin(self) -> None:
        """Let PostgreSQL tell this clock's time until the transaction ends."""
        with connection.cursor() as cursor:
            cursor.execute(f"create schema moved_clock; {MOVE_CLOCK}")
            cursor.execute("set local search_path = moved_clock, pg_catalog, public")
        self.now = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
        self.go_on(timedelta())

    def go_on(self, duration: timedelta) -> None:
        """Let time pass, a multiple of TTLS_ARE_MULTIPLES_OF seconds."""
        self.now += duration
        with connection.cursor() as cursor:
            cursor.execute("select set_config('tests.now', %s, false)", [self.now.isoformat()])
        self.shorten_ttls(int(duration.total_seconds()))

    def shorten_ttls(self, seconds: int) -> None:
        """Take the seconds from every TTL in Redis, and give back what the test itself has taken."""
        keys = self.redis.keys("*customer_features:*")
        before = self.redis.pipeline(transaction=False)
        after = self.redis.pipeline(transaction=False)
        for key in keys:
            before.pttl(key)
        for key, milliseconds in zip(keys, before.execute(), strict=True):
            whole = TTLS_ARE_MULTIPLES_OF * math.ceil(milliseconds / 1000 / TTLS_ARE_MULTIPLES_OF)
            after.expire(key, max(whole - seconds, 0))
        after.execute()


@pytest.fixture
def clock(own_redis: "redis.Redis[bytes]", monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(own_redis)

    class MovedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return clock.now

    # Python's clock is no object that could be passed in: each module has its own name for it.
    for module in READERS_OF_THE_CLOCK:
        monkeypatch.setattr(module, "datetime", MovedDatetime)
    return clock
