"""An upgrade: the database of an earlier commit is migrated while that commit's code reads and writes.

The earlier code comes from the history of the repository; a shallow clone does not have it.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.at_once import PROJECT, environment_of_tests
from tests.databases import made_database, redis_database
from tests.ports import free_port
from tests.web_programs import path_of_programs

# The last commit with the migrations of features up to 0004_schedule, and how its web program is started.
OLD = "4c247a03ee712e5c00894b0d89af5655fef713c5"
OLD_MIGRATION = "0004_schedule"
PROGRAMS = {
    "web": "granian --interface wsgi --host 127.0.0.1 --http 1 --no-ws --workers 1 --blocking-threads 4 "
    "--log-level warning featurehub.wsgi:application --port",
    "worker": "celery --quiet -A featurehub.celery worker --queues realtime,batch --concurrency 2 --loglevel WARNING",
}
CUSTOMERS = [f"c{number}" for number in range(20)]
MANAGE = [sys.executable, "manage.py"]
SECONDS_TO_START = 120.0
SECONDS_TO_SETTLE = 60.0
MAKE_KEY = [
    "create_api_key",
    "upgrade",
    *(word for scope in ("read", "write", "ingest") for word in ("--scope", scope)),
]


@dataclass(slots=True)
class Traffic:
    """What a client has sent to a running program, and what went wrong."""

    port: int
    key: str
    accepted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CUSTOMERS, 0))
    carts: dict[str, float] = field(default_factory=dict)
    reads: int = 0
    failures: list[str] = field(default_factory=list)

    def send(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """Return the answer, and note anything else than a success."""
        headers = {"Authorization": f"Api-Key {self.key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"/api/v1/{path}", body=json.dumps(body) if body else None, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{method} {path}: {error!r}")
            return {}
        finally:
            connection.close()
        if answer.status not in (200, 201):
            self.failures.append(f"{method} {path}: {answer.status} {text[:300]!r}")
            return {}
        parsed: dict[str, object] = json.loads(text)
        return parsed

    def write_and_read(self, number: int) -> None:
        """Store an event, write a value, and read both kinds of values of the next customer."""
        customer_id = CUSTOMERS[number % len(CUSTOMERS)]
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {"customer_id": customer_id, "event_type": "page_view", "timestamp": moment}
        if self.send("POST", "events/", {"events": [event]}):
            self.accepted[customer_id] += 1
        written = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": float(number)}}
        if self.send("PATCH", f"customers/{customer_id}/features/", written):
            self.carts[customer_id] = float(number)
        self.send("GET", f"customers/{customer_id}/features/")
        self.send("GET", f"customers/{customer_id}/explanation/")
        self.reads += 2


@contextmanager
def going_on(traffic: Traffic) -> Iterator[None]:
    """Send traffic beside the block."""
    is_over = threading.Event()

    def send_on() -> None:
        number = 0
        while not is_over.is_set():
            traffic.write_and_read(number)
            number += 1

    thread = threading.Thread(target=send_on)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.fixture
def old_code(tmp_path: Path) -> Path:
    """Return a folder with the code of OLD; skip the test where the repository's history does not have it."""
    found = subprocess.run(
        ["git", "cat-file", "-e", f"{OLD}^{{commit}}"], cwd=PROJECT, capture_output=True, check=False
    )
    if found.returncode:
        pytest.skip(f"The repository's history does not have {OLD[:8]}: the clone is shallow, or there is none.")
    folder = tmp_path / "old"
    folder.mkdir()
    archive = subprocess.run(["git", "archive", OLD], cwd=PROJECT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


@pytest.fixture
def environment(committed: None, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of all programs, with a database and a Redis of their own."""
    with made_database("upgrade") as database, redis_database(6) as cache:
        yield {
            **environment_of_tests(),
            "PATH": path_of_programs(),
            "DATABASE_URL": database,
            "REDIS_URL": cache,
            "FEATUREHUB_LOCAL_DIR": str(tmp_path),
        }


@contextmanager
def started(code: Path, *, environment: dict[str, str], port: int, log: Path) -> Iterator[None]:
    """Run the web program and a worker of the code until the end of the block."""
    with ExitStack() as stack, log.open("wb") as output:
        for name, command in PROGRAMS.items():
            arguments = [*command.split(), *([str(port)] if name == "web" else [])]
            process = stack.enter_context(
                subprocess.Popen(arguments, cwd=code, env=environment, stdout=output, stderr=output)
            )
            stack.callback(process.terminate)
        wait_until_alive(port, log=log)
        yield


def wait_until_alive(port: int, *, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection,
        ):
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"The program does not answer:\n{log.read_text()[-3000:]}")


def manage(*arguments: str, code: Path = PROJECT, environment: dict[str, str]) -> str:
    """Return the output of a command of manage.py, of the new code unless `code` says otherwise."""
    done = subprocess.run(
        [*MANAGE, *arguments], cwd=code, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def values_of(traffic: Traffic, customer_id: str) -> tuple[object, object]:
    features = traffic.send("GET", f"customers/{customer_id}/features/").get("features")
    assert isinstance(features, dict)
    return features["page_views_30d"], features["cart_value"]


@pytest.mark.timeout(900)
def test_a_filled_database_is_migrated_while_the_old_code_reads_and_writes(
    old_code: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    manage("migrate", "--verbosity", "0", code=old_code, environment=environment)
    applied = manage("showmigrations", "features", code=old_code, environment=environment)
    assert applied.rstrip().endswith(f"[X] {OLD_MIGRATION}")
    key = manage(*MAKE_KEY, code=old_code, environment=environment).strip().splitlines()[-1]
    traffic = Traffic(port=free_port(), key=key)
    with started(old_code, environment=environment, port=traffic.port, log=tmp_path / "old.log"):
        with going_on(traffic):
            time.sleep(3)
            manage("migrate", "--verbosity", "0", environment=environment)
            before = traffic.reads
            time.sleep(3)
        assert traffic.failures == []
        assert traffic.reads > before > 0
    manage("migrate", "--check", environment=environment)

    # The old programs have ended, and the new ones go on with what they left.
    after = Traffic(port=free_port(), key=key)
    with started(PROJECT, environment=environment, port=after.port, log=tmp_path / "new.log"):
        after.write_and_read(0)
        traffic.accepted[CUSTOMERS[0]] += 1
        traffic.carts[CUSTOMERS[0]] = 0.0
        expected = {each: (float(traffic.accepted[each]), traffic.carts.get(each, 0.0)) for each in CUSTOMERS}
        deadline = time.monotonic() + SECONDS_TO_SETTLE
        while time.monotonic() < deadline:
            if {each: values_of(after, each) for each in CUSTOMERS} == expected:
                break
            time.sleep(0.5)
        assert {each: values_of(after, each) for each in CUSTOMERS} == expected
        assert after.failures == []
        assert "none is wrong" in manage("check_consistency", environment=environment)
