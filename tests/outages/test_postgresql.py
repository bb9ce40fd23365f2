"""PostgreSQL frozen and killed, wholly and a session of it: what the pools answer, and how long it takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest

from tests.outages.conftest import CACHED, Site, killed, wait_until
from tests.outages.readers import (
    SECONDS_AT_ONCE,
    SECONDS_PROMISED,
    SECONDS_TO_RECOVER,
    Answer,
    Web,
    are_at_once,
    ask_for,
    longest,
    report,
    statuses,
)
from tests.signals import frozen, frozen_processes

pytestmark = pytest.mark.alone

READERS = 20
# Where the machine holds up Redis or its reader for a moment, the reader asks PostgreSQL whether it has missed
# something, for a second at most.
PART_IN_DOUBT = 0.15
numbers = count()


def read_cached(web: Web) -> Answer:
    return web.read(CACHED[next(numbers) % len(CACHED)])


def read_missing(web: Web) -> Answer:
    return web.read(f"missing{next(numbers)}")


def go_on(cached: list[Answer]) -> bool:
    """Return whether Redis answered READERS who read all the time, but for PART_IN_DOUBT of their reads at most.

    None of them waited for PostgreSQL. A stop of the machine is waited for once by each.
    """
    doubtful = [answer for answer in cached if answer.status == 503]
    served = [answer for answer in cached if answer.status == 200 and answer.body["source"] == "cache"]
    late = [answer for answer in cached if answer.seconds >= SECONDS_AT_ONCE]
    return (
        len(served) + len(doubtful) == len(cached)
        and len(doubtful) <= PART_IN_DOUBT * len(cached)
        and len(late) <= READERS
        and longest(cached) < SECONDS_PROMISED
    )


def test_with_postgresql_frozen_cached_reads_go_on_and_misses_are_refused_at_once(site: Site, reads: Web) -> None:
    with frozen(site.postgres):
        cached = ask_for(8.0, *[lambda: read_cached(reads)] * READERS, pause=0.1)
        missed = ask_for(1.0, lambda: read_missing(reads), pause=0.02)
        unknown = ask_for(1.0, lambda: reads.read(CACHED[0], key="fh_unknown"), pause=0.02)
        alive = ask_for(1.0, lambda: reads.get("/healthz"), pause=0.02)
    report("PostgreSQL frozen", reads=cached, misses=missed, unknown_key=unknown, healthz=alive)
    assert statuses(alive).keys() == {200}
    assert go_on(cached)
    assert statuses([*missed, *unknown]).keys() == {503}
    assert are_at_once([*missed, *unknown, *alive])


def test_with_postgresql_frozen_nobody_waits_for_more_than_two_seconds(site: Site, api: Web) -> None:
    with frozen(site.postgres):
        posted = ask_for(4.0, *[api.ingest] * 10, *[lambda: api.write(CACHED[1], 1.0)] * 10)
        later = ask_for(2.0, *[api.ingest] * 4, *[lambda: read_missing(api)] * 4)
        cached = ask_for(2.0, *[lambda: read_cached(api)] * 20, pause=0.1)
        checked, scraped, alive = api.get("/readyz"), api.get("/metrics"), api.get("/healthz")
        assert [posted[-1].retry_after, later[-1].retry_after] == ["5", "5"]
    report("PostgreSQL frozen", writes=posted, later=later, cached_in_api=cached, readyz=[checked], metrics=[scraped])
    assert longest([*posted, checked, scraped, alive]) < SECONDS_PROMISED
    assert are_at_once([*later, *cached])
    assert statuses([*posted, *later, checked]).keys() == {503}
    assert statuses([*cached, scraped, alive]).keys() == {200}
    assert b"featurehub_database_up 0.0" in scraped.body
    assert wait_until(lambda: api.ingest().status == 201) < SECONDS_TO_RECOVER


def test_on_an_idle_server_ready_and_metrics_find_postgresql_frozen_in_time(site: Site, api: Web) -> None:
    for path in ("/readyz", "/metrics"):
        wait_until(lambda: api.ingest().status == 201)
        with frozen(site.postgres):
            answer = api.get(path)
        report("PostgreSQL frozen, idle", **{path: [answer]})
        assert answer.seconds < SECONDS_PROMISED


def test_with_everything_frozen_everything_is_answered_within_two_seconds(site: Site, reads: Web, api: Web) -> None:
    for path in ("/readyz", "/metrics", "/healthz"):
        wait_until(lambda: api.get("/readyz").status == 200)
        with frozen(site.postgres, site.valkey):
            answer = api.get(path)
        report("both frozen, idle", **{path: [answer]})
        assert answer.seconds < SECONDS_PROMISED
    wait_until(lambda: api.get("/readyz").status == 200)
    with frozen(site.postgres, site.valkey):
        answers = ask_for(4.0, *[lambda: read_cached(api)] * 10, *[api.ingest] * 10)
        refused = ask_for(2.0, *[lambda: read_cached(reads)] * 20)
    report("both frozen", api=answers, reads=refused)
    assert statuses([*answers, *refused]).keys() == {503}
    assert longest([*answers, *refused]) < SECONDS_PROMISED


def test_with_one_session_frozen_its_request_is_refused_and_others_go_on(site: Site, api: Web) -> None:
    with frozen_sessions(site, of="api"):
        first = api.ingest()
        report("one session frozen", api=[first])
        assert first.status == 503
        assert first.seconds < SECONDS_PROMISED
        assert wait_until(lambda: api.ingest().status == 201) < SECONDS_TO_RECOVER


@contextmanager
def frozen_sessions(site: Site, *, of: str) -> Iterator[None]:
    """Stop the processes of the sessions that a web process has."""
    with psycopg.connect(site.postgres.url) as connection:
        rows = connection.execute("select pid from pg_stat_activity where application_name = %s", [of]).fetchall()
    assert rows
    with frozen_processes([pid for (pid,) in rows]):
        yield


def test_with_postgresql_dead_cached_reads_go_on_while_clients_post(site: Site, reads: Web, api: Web) -> None:
    with killed(site, site.postgres):
        posted = ask_for(4.0, *[api.ingest] * 20)
        cached = ask_for(2.0, *[lambda: read_cached(reads)] * READERS, pause=0.1)
        cached_in_api = ask_for(2.0, *[lambda: read_cached(api)] * 4, *[api.ingest] * 4, pause=0.05)
    report("PostgreSQL killed", post=posted, reads=cached, api=cached_in_api)
    assert longest(posted) < SECONDS_PROMISED
    assert statuses(posted).keys() == {503}
    assert go_on(cached)
    assert are_at_once(cached_in_api)
    assert wait_until(lambda: api.ingest().status == 201) < SECONDS_TO_RECOVER


def test_one_session_killed_costs_no_answer(site: Site, api: Web) -> None:
    with psycopg.connect(site.postgres.url) as connection:
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'api'")
    answers = ask_for(1.0, *[api.ingest] * 4)
    assert statuses(answers).keys() == {201}
    assert longest(answers) < SECONDS_PROMISED


@pytest.mark.parametrize("pool", ["api", "reads"])
@pytest.mark.parametrize("fault", [frozen, killed])
def test_a_process_that_starts_without_postgresql_refuses_all_at_once(
    site: Site, api: Web, pool: str, fault: object
) -> None:
    away = frozen(site.postgres) if fault is frozen else killed(site, site.postgres)
    with site.web(pool) as web:
        with away:
            answers = ask_for(3.0, *[lambda: read_cached(web)] * 20)
            later = ask_for(1.0, *[lambda: read_cached(web)] * 4)
        report(f"{pool} starts without PostgreSQL", api=answers, later=later)
        assert statuses([*answers, *later]).keys() == {503}
        assert longest(answers) < SECONDS_PROMISED
        assert are_at_once(later)
        assert wait_until(lambda: read_cached(web).status == 200) < SECONDS_TO_RECOVER
