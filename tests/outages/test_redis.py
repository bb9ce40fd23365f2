"""Redis frozen, killed, and full: what the pools answer, and how long it takes."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from redis import Redis

from tests.outages.conftest import CACHED, Site, killed, wait_until
from tests.outages.readers import (
    SECONDS_PROMISED,
    SECONDS_TO_RECOVER,
    Web,
    are_at_once,
    ask_for,
    longest,
    report,
    statuses,
)
from tests.signals import frozen

pytestmark = pytest.mark.alone

MOMENT = 0.6  # Redis' 0.25 s, the rest of the request, and what a shared machine takes now and then


def test_with_redis_frozen_the_first_read_waits_a_moment_and_the_next_ones_do_not(site: Site, reads: Web) -> None:
    with frozen(site.valkey):
        first = reads.read(CACHED[0])
        assert (first.status, first.retry_after) == (503, "5")
        assert first.seconds < MOMENT
        answers = ask_for(3.0, *[lambda: reads.read(CACHED[1])] * 20)
        assert statuses(answers).keys() == {503}
        report("Valkey frozen", reads=answers, first=[first])
        assert longest(answers) < 2 * MOMENT
        later = ask_for(1.0, lambda: reads.read(CACHED[1]))
        assert are_at_once(later)
        assert are_at_once([reads.get("/healthz")])
    assert wait_until(lambda: reads.read(CACHED[0]).status == 200) < SECONDS_TO_RECOVER


def test_with_redis_frozen_postgresql_answers_in_the_pool_api(site: Site, api: Web) -> None:
    with frozen(site.valkey):
        answers = ask_for(3.0, *[lambda: api.read(CACHED[1])] * 20)
        assert statuses(answers).keys() == {200}
        assert {answer.body["source"] for answer in answers} == {"database"}
        report("Valkey frozen", api=answers)
        assert longest(answers) < SECONDS_PROMISED
    assert wait_until(lambda: api.read(CACHED[1]).body["source"] == "cache") < SECONDS_TO_RECOVER


def test_with_redis_and_the_broker_frozen_writes_are_accepted_in_time(site: Site, api: Web) -> None:
    with frozen(site.valkey, site.broker):
        patched = ask_for(3.0, *[lambda: api.write(CACHED[2], time.monotonic())] * 4)
        posted = ask_for(3.0, *[api.ingest] * 16)
        checked, scraped = api.get("/readyz"), api.get("/metrics")
    report("Valkey and broker frozen", patch=patched, post=posted, readyz=[checked], metrics=[scraped])
    assert statuses(patched).keys() == {200}
    assert statuses(posted).keys() == {201}
    assert longest([*patched, *posted, checked, scraped]) < SECONDS_PROMISED
    assert checked.status == 503
    failed = {name for name, text in checked.body["checks"].items() if text != "ok"}
    assert failed == {"redis", "broker"}


def test_with_the_broker_frozen_events_are_accepted_in_time(site: Site, api: Web) -> None:
    with frozen(site.broker):
        time.sleep(1.1)  # the nudge of an earlier test is over
        first = api.ingest()
        answers = ask_for(5.0, *[api.ingest] * 8)  # a nudge a second is sent
        checked = api.get("/readyz")
    report("broker frozen", first=[first], post=answers, readyz=[checked])
    assert statuses([first, *answers]).keys() == {201}
    assert longest([first, *answers, checked]) < SECONDS_PROMISED
    assert {name for name, text in checked.body["checks"].items() if text != "ok"} == {"broker"}
    wait_until(lambda: api.get("/readyz").status == 200)
    wait_until(lambda: api.ingest().status == 201 and queued(site) > 0, seconds=10)


def queued(site: Site) -> int:
    """Return the number of tasks that wait at the broker."""
    return int(Redis.from_url(site.broker.url).llen("realtime"))


def test_a_read_that_finds_redis_frozen_in_its_midst_is_one_that_waits_a_moment(site: Site, reads: Web) -> None:
    pid = site.valkey.pid()
    assert pid is not None
    for _ in range(5):
        os.kill(pid, signal.SIGSTOP)
        answer = reads.read(CACHED[3])
        os.kill(pid, signal.SIGCONT)
        assert answer.status == 503
        assert answer.seconds < MOMENT
        wait_until(lambda: reads.read(CACHED[3]).status == 200)


def test_with_redis_dead_nobody_waits_and_it_is_used_again(site: Site, reads: Web, api: Web) -> None:
    with killed(site, site.valkey):
        refused = ask_for(1.0, *[lambda: reads.read(CACHED[4])] * 20)
        answers = ask_for(2.0, *[lambda: api.read(CACHED[4])] * 20)
        patched = ask_for(1.0, lambda: api.write(CACHED[5], time.monotonic()))
        posted = ask_for(1.0, *[api.ingest] * 4)
    report("Valkey killed", reads=refused, api=answers, patch=patched, post=posted)
    assert statuses(refused).keys() == {503}
    assert statuses([*answers, *patched]).keys() == {200}
    assert statuses(posted).keys() == {201}
    assert longest([*refused, *answers, *patched, *posted]) < SECONDS_PROMISED
    assert wait_until(lambda: api.read(CACHED[4]).body["source"] == "cache") < SECONDS_TO_RECOVER
    assert wait_until(lambda: reads.read(CACHED[4]).status == 200) < SECONDS_TO_RECOVER


@pytest.fixture
def unwritable(site: Site) -> Iterator[None]:
    """Make a snapshot of Valkey fail, as on a full disk: it refuses writes from then on (MISCONF)."""
    client = site.redis()
    client.config_set("save", "3600 1")
    client.config_set("stop-writes-on-bgsave-error", "yes")
    aside = site.valkey.home / "dump.rdb"
    aside.mkdir(exist_ok=True)  # a folder that the file can't replace
    (aside / "full").touch()
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    yield
    client.config_set("save", "")
    (aside / "full").unlink()
    aside.rmdir()


def test_with_redis_disk_full_reads_and_writes_are_answered(site: Site, reads: Web, api: Web, unwritable: None) -> None:
    with pytest.raises(Exception, match="configured to save"):
        site.redis().set("x", 1)
    # What is written from now on, Redis does not get: PostgreSQL answers.
    wait_until(lambda: reads.read(CACHED[6]).status == 503)
    wait_until(lambda: api.read(CACHED[6]).body["source"] == "database")
    batch = api.read_many(["nobody-either", CACHED[6]])
    assert (batch.status, [part["source"] for part in batch.body["results"]]) == (200, ["database", "database"])
    assert api.write(CACHED[6], 1.0).status == 200
    assert api.read(CACHED[6]).body["features"]["cart_value"] == 1.0
    assert api.ingest().status == 201
