"""Sessions of PostgreSQL with a limit to each wait, in a process of a pool."""

import time
from collections.abc import Callable, Iterator
from statistics import median

import pytest
from django.db import OperationalError, connection, connections, transaction
from pytest_django import Settings

from featurehub.database import base
from featurehub.database.session import database_breaker
from featurehub.lib.background import background_jobs
from featurehub.lib.copying import copying
from featurehub.lib.errors import DatabaseNeeded
from tests.at_once import at_once
from tests.away import postgres_away

SECONDS = 0.8
ASLEEP = "select pg_sleep(4)"


@pytest.fixture(autouse=True)
def api(committed: None, settings: Settings) -> Iterator[None]:
    """Make this a process of the pool `api`, with short waits."""
    settings.POOL, settings.DATABASE_SECONDS, settings.SESSION_SECONDS = "api", SECONDS, SECONDS
    connections.close_all()
    yield
    wait_until_it_answers()
    connections.close_all()
    connection.close_pool()  # other tests have no limits


def wait_until_it_answers() -> None:
    end = time.monotonic() + 20
    while database_breaker.is_open:
        assert time.monotonic() < end
        time.sleep(0.01)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def sleep() -> None:
    """Wait for a PostgreSQL that does not end the statement itself, as a stopped one does not."""
    execute("set statement_timeout = 0")
    execute(ASLEEP)


def read_copy() -> None:
    execute("set statement_timeout = 0")
    with connection.cursor() as cursor, copying(cursor, f"copy ({ASLEEP}) to stdout") as copy:
        for _ in copy:
            pass


def execute_in_a_transaction() -> None:
    with transaction.atomic():
        sleep()


@pytest.mark.parametrize("wait", [sleep, read_copy, execute_in_a_transaction])
def test_a_wait_ends_after_its_limit_and_so_does_the_session(wait: Callable[[], None]) -> None:
    begun = time.monotonic()
    with pytest.raises(OperationalError, match="not answer"):
        wait()
    assert SECONDS <= time.monotonic() - begun < 3.0  # PostgreSQL would have answered after four
    connections.close_all()
    wait_until_it_answers()
    execute("select 1")


def test_a_commit_has_the_limit_too() -> None:
    with pytest.raises(OperationalError, match="did not answer"), transaction.atomic():  # noqa: PT012
        execute("set statement_timeout = 0")
        execute("create temporary table slow (x int) on commit drop")
        execute(
            "create function pg_temp.doze() returns trigger language plpgsql as"
            " 'begin perform pg_sleep(4); return null; end'"
        )
        execute(
            "create constraint trigger late after insert on slow deferrable initially deferred"
            " for each row execute function pg_temp.doze()"
        )
        execute("insert into slow values (1)")


def test_postgresql_itself_ends_what_is_slow_and_the_session_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATABASE_SECONDS = 1.5
    monkeypatch.setattr(base, "MARGIN_MS", 1_000)  # so that PostgreSQL is the first, also on a slow machine
    connection.close_pool()  # sessions of this pool have been set up with the limit
    execute("select 1")
    session = connection.connection
    with pytest.raises(OperationalError, match="statement timeout"):
        execute(ASLEEP)
    execute("select 1")
    assert connection.connection is session
    assert not database_breaker.is_open


def test_outside_the_pools_a_statement_may_take_its_time(settings: Settings) -> None:
    settings.POOL, settings.DATABASE_SECONDS = "", None
    execute(f"select pg_sleep({2 * SECONDS})")


def test_callers_at_the_same_time_share_the_wait_for_a_postgresql_that_is_away() -> None:
    def fail() -> float:
        begun = time.monotonic()
        with pytest.raises(OperationalError):
            execute("select 1")
        return time.monotonic() - begun

    with postgres_away():
        assert max(at_once(*[fail] * 16)) < 3.0  # one after the other they would take 4.8 seconds
        assert database_breaker.is_open
        assert median(at_once(*[fail] * 16)) < 0.15  # the wait is 0.3; one thread may be late on a slow machine
    wait_until_it_answers()
    execute("select 1")


def test_in_the_pool_reads_only_the_background_uses_postgresql(settings: Settings) -> None:
    settings.POOL = "reads"
    with pytest.raises(DatabaseNeeded):
        execute("select 1")
    done: list[str] = []

    def job() -> None:
        execute("select 1")
        done.append("done")

    background_jobs.run(job)
    end = time.monotonic() + 20
    while not done:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("seconds", "memory"), [(None, "32MB"), (SECONDS, "4MB")])
def test_only_sessions_without_a_limit_get_memory_for_thousands_of_rows(
    settings: Settings, seconds: float | None, memory: str
) -> None:
    settings.DATABASE_SECONDS = seconds
    connection.close_pool()
    with connection.cursor() as cursor:
        cursor.execute("show work_mem")
        assert cursor.fetchone() == (memory,)
