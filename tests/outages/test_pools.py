"""The pools while everything is in order: which process answers what, and the age of what it holds in memory."""

import time

import pytest

from tests.outages.conftest import CACHED, Site, wait_until
from tests.outages.readers import Web

pytestmark = pytest.mark.alone

SNAPSHOT_SECONDS = 5.0
MOMENT = 1.0  # what a shared machine takes now and then


def test_the_pool_reads_answers_what_is_cached_and_leaves_the_rest(reads: Web, api: Web) -> None:
    assert reads.read(CACHED[0]).body["source"] == "cache"
    missed = reads.read("heard-of-first")
    assert (missed.status, missed.retry_after) == (503, "5")
    assert missed.body["errors"][0]["code"] == "unavailable"
    assert reads.read_many([CACHED[0], "heard-of-first"]).status == 503
    assert api.read("heard-of-first").body["source"] == "database"
    assert reads.read("heard-of-first").body["source"] == "cache"
    assert reads.read_many([CACHED[0], "heard-of-first"]).status == 200


def test_the_first_read_of_a_process_is_answered_from_the_cache(site: Site, reads: Web) -> None:
    with site.web("api") as web:
        time.sleep(1.0)  # it has looked at Redis meanwhile
        assert web.read(CACHED[0]).body["source"] == "cache"


def test_a_miss_leaves_no_traceback_in_the_log(reads: Web) -> None:
    before = len(reads.log.read_text())
    assert reads.read("heard-of-never").status == 503
    assert reads.log.read_text()[before:] == ""


def test_a_key_that_was_made_just_now_is_known_in_api_and_soon_in_reads(site: Site, reads: Web, api: Web) -> None:
    key = site.manage("create_api_key", "new", "--scope", "read").strip()
    assert reads.read(CACHED[0], key=key).status in (200, 503)  # at once, whatever it is
    assert api.read(CACHED[0], key=key).status == 200
    assert wait_until(lambda: reads.read(CACHED[0], key=key).status == 200) < SNAPSHOT_SECONDS + MOMENT


def test_a_revoked_key_is_refused_within_the_age_of_the_copies(site: Site, reads: Web, api: Web) -> None:
    key = site.manage("create_api_key", "old", "--scope", "read").strip()
    wait_until(lambda: reads.read(CACHED[0], key=key).status == 200)
    assert api.read(CACHED[0], key=key).status == 200
    site.manage(
        "shell", "-c", "from featurehub.access.models import *; revoke_api_keys([ApiKey.objects.get(name='old').pk])"
    )
    revoked = time.monotonic()
    assert wait_until(lambda: api.read(CACHED[0], key=key).status == 401) < SNAPSHOT_SECONDS + MOMENT
    wait_until(lambda: reads.read(CACHED[0], key=key).status == 503)  # the pool api says 401
    assert time.monotonic() - revoked < SNAPSHOT_SECONDS + MOMENT


def test_the_use_of_a_version_by_a_cached_read_is_noted_beside_it(site: Site, reads: Web) -> None:
    key = site.manage("create_api_key", "user", "--scope", "read").strip()
    wait_until(lambda: reads.read(CACHED[0], key=key).status == 200)
    program = "from features.models import VersionUse as V; print(V.objects.filter(api_key__name='user').count())"
    wait_until(lambda: int(site.manage("shell", "--verbosity", "0", "-c", program)) > 0, seconds=20)


END_SOON = """
from datetime import timedelta
from django.utils import timezone
from featurehub.access.models import ApiKey
ApiKey.objects.filter(name="ending").update(expires_at=timezone.now() + timedelta(seconds=6))
"""


def test_a_key_ends_in_reads_and_its_last_use_is_noted_beside_the_request(site: Site, reads: Web) -> None:
    key = site.manage("create_api_key", "ending", "--scope", "read").strip()
    wait_until(lambda: reads.read(CACHED[0], key=key).status == 200)
    program = "from featurehub.access.models import ApiKey as K; print(K.objects.get(name='ending').last_used_at)"
    wait_until(lambda: site.manage("shell", "--verbosity", "0", "-c", program).strip() != "None")
    site.manage("shell", "-c", END_SOON)
    wait_until(lambda: reads.read(CACHED[0], key=key).status == 503)  # the pool api says 401


LIMITED = """
from featurehub.access.models import create_api_key
print(create_api_key("limited", scopes=["read"], requests_per_minute=5)[1])
"""


def test_a_request_that_two_pools_answer_counts_once_against_the_limit_of_its_key(
    site: Site, reads: Web, api: Web
) -> None:
    key = site.manage("shell", "--verbosity", "0", "-c", LIMITED).strip()
    wait_until(lambda: api.read(CACHED[0], key=key).status == 200)
    missing = [f"never-heard-of-{number}" for number in range(4)]
    wait_until(lambda: reads.get("/healthz").status == 200)
    time.sleep(SNAPSHOT_SECONDS)  # the key is known in `reads`, too
    statuses = [(reads.read(name, key=key).status, api.read(name, key=key).status) for name in missing]
    assert statuses == [(503, 200)] * 4
    assert reads.read(CACHED[0], key=key).status == 429
