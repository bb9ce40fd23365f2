"""What the benchmarks measure is ready when they begin."""

import subprocess
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import psycopg
import pytest

from benchmarks import servers
from benchmarks.machine import fields
from benchmarks.peers import reader_key
from benchmarks.spent import cpu_seconds
from tests.at_once import environment_of_tests
from tests.factories import make_customer, url_of


def test_a_pool_of_reads_answers_from_the_first_request_on(
    committed: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment_of_tests().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FEATUREHUB_LOCAL_DIR", str(tmp_path))
    make_customer("c1", page_view=3)
    with (
        servers.featurehub(key=reader_key()) as server,
        closing(HTTPConnection("127.0.0.1", server.port)) as connection,
    ):
        connection.request("GET", url_of("c1"), headers=dict(server.headers))
        assert connection.getresponse().status == 200


def test_the_time_of_processes_that_end_while_it_is_read_is_not_lost() -> None:
    burning = "for n in $(seq 60); do sh -c 'for i in $(seq 300000); do :; done'; done"
    with subprocess.Popen(["sh", "-c", burning]) as parent:
        spent = []
        while parent.poll() is None:
            spent.append(cpu_seconds([parent.pid]))
    assert len(spent) > 20
    assert spent[:-1] == sorted(spent[:-1])  # after the last look there may be no parent any more


def test_the_time_of_a_session_of_postgresql_that_ends_while_it_is_read_is_not_lost(db: None) -> None:
    times = []
    for _ in range(20):
        with psycopg.connect(environment_of_tests()["DATABASE_URL"]) as session:
            postmaster = int(fields(session.info.backend_pid)[1])
            before = cpu_seconds([postmaster])
            # The session ends a little later than its client: it drops the table first.
            session.execute("create temporary table numbers as select generate_series(1, 1000000)")
        times.append(cpu_seconds([postmaster]) - before)
    assert min(times) > 0.05
