"""No reader is shown an older value than was shown before, whatever happens to Redis."""

import shutil
import time
from typing import Any

import pytest

from tests.outages.conftest import CACHED, Site, killed, wait_until
from tests.outages.readers import SECONDS_PROMISED, Answer, Web, ask_for, report
from tests.signals import frozen

pytestmark = pytest.mark.alone

SECONDS_TO_PUBLISH = 10.0


def value_of(answer: Answer) -> Any:
    """Return the value that the answer shows; None where it shows none."""
    return answer.body["features"]["cart_value"] if answer.status == 200 else None


def cached_value(web: Web, customer_id: str) -> Any:
    answer = web.read(customer_id)
    return value_of(answer) if answer.status == 200 and answer.body["source"] == "cache" else None


def write_and_wait(reads: Web, api: Web, customer_id: str, value: float) -> None:
    """Write the value, and wait until it is read from the cache."""
    assert api.write(customer_id, value).status == 200
    wait_until(lambda: cached_value(reads, customer_id) == value)


def test_after_a_freeze_a_process_that_did_not_notice_it_shows_nothing_older(site: Site, reads: Web, api: Web) -> None:
    customer_id = CACHED[7]
    write_and_wait(reads, api, customer_id, 1.0)
    with frozen(site.valkey):
        for value in (1.5, 2.0):
            assert api.write(customer_id, value).status == 200
        assert value_of(api.read(customer_id)) == 2.0
        time.sleep(0.5)
    answers = ask_for(1.0, lambda: reads.read(customer_id), lambda: api.read(customer_id))
    report("Valkey frozen with a write", reads=answers)
    assert {value_of(answer) for answer in answers} <= {None, 2.0}
    assert wait_until(lambda: cached_value(reads, customer_id) == 2.0) < SECONDS_TO_PUBLISH


@pytest.mark.parametrize("seconds", [0.0, 1.5])
def test_after_a_crash_that_lost_writes_nobody_is_shown_anything_older(
    site: Site, reads: Web, api: Web, seconds: float
) -> None:
    customer_id = CACHED[8]
    files = site.valkey.home / "appendonlydir"
    write_and_wait(reads, api, customer_id, 1.0)
    time.sleep(1.5)  # Valkey writes to its disk each second
    kept = shutil.copytree(files, site.folder / f"kept {seconds}")
    write_and_wait(reads, api, customer_id, 2.0)
    time.sleep(seconds)
    with killed(site, site.valkey):
        shutil.rmtree(files)
        shutil.copytree(kept, files)
    lost = site.redis().hget(f"customer_features:{customer_id}", "cart_value")
    answers = ask_for(2.0, lambda: reads.read(customer_id), lambda: api.read(customer_id))
    report("Valkey restored", reads=answers)
    assert lost in (b"1.0", b"2.0")  # the sweep may have been faster
    assert {value_of(answer) for answer in answers} <= {None, 2.0}
    assert wait_until(lambda: cached_value(reads, customer_id) == 2.0) < SECONDS_TO_PUBLISH


def test_what_is_acknowledged_the_moment_redis_takes_no_more_writes_is_what_everybody_reads(
    site: Site, reads: Web, api: Web
) -> None:
    customer_id = CACHED[10]
    for value in (1.0, 2.0, 3.0):
        write_and_wait(reads, api, customer_id, value)
        site.redis().execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            answer = api.write(customer_id, value + 0.5)
            answers = ask_for(0.3, lambda: reads.read(customer_id), lambda: api.read(customer_id))
        finally:
            site.redis().execute_command("REPLICAOF", "NO", "ONE")
        assert (answer.status, answer.seconds < SECONDS_PROMISED) == (200, True)
        assert {value_of(answer) for answer in answers} <= {None, value + 0.5}
        wait_until(lambda value=value: cached_value(reads, customer_id) == value + 0.5)


def test_a_replica_that_takes_no_writes_shows_nothing_older(site: Site, reads: Web, api: Web) -> None:
    customer_id = CACHED[9]
    write_and_wait(reads, api, customer_id, 1.0)
    site.redis().execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        wait_until(lambda: cached_value(reads, customer_id) is None)
        assert api.write(customer_id, 2.0).status == 200
        answers = ask_for(1.0, lambda: reads.read(customer_id), lambda: api.read(customer_id))
        assert {value_of(answer) for answer in answers} <= {None, 2.0}
        assert 2.0 in {value_of(answer) for answer in answers}
    finally:
        site.redis().execute_command("REPLICAOF", "NO", "ONE")
    answers = ask_for(1.0, lambda: reads.read(customer_id), lambda: api.read(customer_id))
    assert {value_of(answer) for answer in answers} <= {None, 2.0}
    assert wait_until(lambda: cached_value(reads, customer_id) == 2.0) < SECONDS_TO_PUBLISH
