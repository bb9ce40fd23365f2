"""No customer's id is in the logs of the processes, whatever fails: real errors, real programs, their real output."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from featurehub.access.authentication import clients
from featurehub.access.models import Scope, create_api_key
from featurehub.lib.private_lines import PrivateLines
from tests.at_once import PROJECT, environment_of_tests
from tests.factories import make_event, store_events
from tests.web_programs import web_programs

SECRET = "secret-customer"
EVENTS = (
    '{"events": [{"customer_id": "secret-customer", "event_type": "login", "timestamp": "2026-01-31T12:00:00Z"},'
    ' {"customer_id": "secret-customer", "event_type": "login", "timestamp": "2026-01-31T12:00:00Z"}]}'
)
VALUES = '{"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 1}}'
# PostgreSQL then quotes the whole row.
REFUSE = "alter table {table} add constraint refuses_{table} check (customer_id <> 'secret-customer')"
ACCEPT = "alter table {table} drop constraint if exists refuses_{table}"
TABLES = ("events_event", "features_customer", "features_customerfeature")


@pytest.fixture
def refusing(committed: None) -> Iterator[None]:
    """Let PostgreSQL refuse every row of SECRET."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(REFUSE.format(table=table))
        yield
        for table in TABLES:
            cursor.execute(ACCEPT.format(table=table))


def test_an_error_of_postgresql_is_its_sentence_without_rows_keys_and_statements(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("create temporary table once (customer_id text primary key, amount numeric not null)")
        cursor.execute("insert into once values (%s, 1)", [SECRET])
        for statement in ("insert into once values (%s, 1)", "insert into once values (%s, null)"):
            with pytest.raises(IntegrityError) as raised, transaction.atomic():
                cursor.execute(statement, [SECRET])
            assert SECRET not in f"{raised.value} {raised.value.__cause__!r}"
            assert SECRET in str(raised.value.__cause__.diag.message_detail)  # type: ignore[union-attr]
    assert str(raised.value).startswith("null value in column")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "Internal Server Error: /api/v1/customers/c%2F1/features/",
            "Internal Server Error: /api/v1/customers/…/features/",
        ),
        ("GET /admin/features/customer/c_5F1/change/ x", "GET /admin/features/customer/…/change/ x"),
        (
            "Command # 1 (HSET customer_features:c1 a 1) of pipeline",
            "Command # 1 (HSET customer_features:… a 1) of pipeline",
        ),
        ("b'{customer_features:c1}:behavioral:2.0' is", "b'{customer_features:…' is"),
        ("2,357 customers/s", "2,357 customers/s"),
    ],
)
def test_addresses_and_keys_are_logged_without_the_id(text: str, line: str) -> None:
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "%s", (text,), None)
    assert PrivateLines().format(record).endswith(f" ERROR x {line}")


def test_the_web_programs_log_errors_without_the_id(refusing: None, tmp_path: Path) -> None:
    clients.forget()
    _, key = create_api_key("test", scopes=list(Scope.values))
    with web_programs(tmp_path, FEATUREHUB_LOG_FORMAT="json") as programs:
        path = f"/api/v1/customers/{SECRET}/"
        assert programs.status_of("POST", "/api/v1/events/", key=key, body=EVENTS) == 500
        assert programs.status_of("PATCH", f"{path}features/", key=key, body=VALUES) == 500
        programs.kill("api")
        assert programs.status_of("GET", f"{path}explanation/", key=key) == 502
        log = programs.log.read_text()
    assert "Server Error (500): /api/v1/events/" in log
    assert "Server Error (500): /api/v1/customers/…/features/" in log
    assert log.count("violates check constraint") >= 2
    assert SECRET not in log
    failed = [line for line in lines_of(log) if "Server Error" in line["message"]]
    assert len({line["request_id"] for line in failed}) == len(failed) >= 2


def test_a_worker_logs_errors_without_the_id(refusing: None, tmp_path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ACCEPT.format(table="events_event"))
    log = tmp_path / "log"
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "featurehub.celery", "worker", "--queues", "realtime"]
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [*command, "--concurrency", "1", "--loglevel", "WARNING"],
            cwd=PROJECT, env=environment_of_tests() | {"FEATUREHUB_LOG_FORMAT": "json"}, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            store_events(make_event(customer_id=SECRET))
            deadline = time.monotonic() + 60
            while "violates check constraint" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.2)
        finally:
            worker.terminate()
            worker.wait(30)
    text = log.read_text()
    assert "features.refresh_dirty" in text
    assert "refuses_features_customer" in text
    assert SECRET not in text
    failed = [line for line in lines_of(text) if "refuses_features_customer" in line.get("exception", "")]
    assert {line["task"] for line in failed} == {"features.refresh_dirty"}
    assert all(line["task_id"] for line in failed)


def lines_of(log: str) -> list[dict[str, Any]]:
    """Return the lines of the log that are JSON: granian and nginx write their own."""
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]
