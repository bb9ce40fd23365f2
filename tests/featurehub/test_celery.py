"""Workers and beat as processes: they outlive trouble of the broker and of PostgreSQL, and keep their sessions."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
import redis
from celery import current_app
from django.db import connection

from featurehub.devserver.valkey import Valkey
from featurehub.lib.redis_away import RefusesCommandsError
from tests.celery_programs import celery, wait_for, worker

NOTE = "tests.note"
SECONDS_OF_TROUBLE = 4.0
SECONDS_FROZEN = 20.0
# Beat reads the whole schedule again every five minutes; here every second.
BEAT_THAT_READS_OFTEN = """
import sys
import django
django.setup()
from celery.__main__ import main
from django_celery_beat import schedulers
schedulers.SCHEDULE_SYNC_MAX_INTERVAL = 1
sys.exit(main())
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Valkey]:
    """Run a Valkey that this test can treat as it likes."""
    server = Valkey(tmp_path / "valkey")
    with server.shared():
        yield server


@pytest.fixture(scope="module")
def lasting_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Run a Valkey for the tests of troubles, each of which ends its trouble."""
    server = Valkey(tmp_path_factory.mktemp("broker") / "valkey")
    with server.shared():
        yield server


@pytest.fixture(scope="module")
def lasting_worker(lasting_broker: Valkey) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker that has to outlive all troubles of its broker, one after the other."""
    with worker(lasting_broker.url, concurrency=2) as process:
        yield process


def send(url: str, notes: Path, *, times: int = 1, seconds: float = 0.0) -> None:
    """Send tasks that take so many seconds each."""
    with current_app.connection_for_write(url) as sender:
        for _ in range(times):
            current_app.send_task(NOTE, args=[str(notes), seconds], queue="realtime", connection=sender)


def read_notes(notes: Path) -> list[list[int]]:
    """Return for each task that ran the pid of its process and that of its session."""
    return [[int(pid) for pid in line.split()] for line in notes.read_text().splitlines()] if notes.exists() else []


def compute(url: str, notes: Path) -> None:
    """Send a task, and return when it ran."""
    before = len(read_notes(notes))
    send(url, notes)
    wait_for(lambda: len(read_notes(notes)) > before)


# --- Trouble ----------------------------------------------------------------------------------------------------------


@contextmanager
def read_only(broker: Valkey) -> Iterator[None]:
    """Make the broker a replica of nobody, as in a failover."""
    with redis.Redis.from_url(broker.url) as client:
        client.replicaof("127.0.0.1", "1")
        yield
        client.replicaof("NO", "ONE")


@contextmanager
def unable_to_save(broker: Valkey) -> Iterator[None]:
    """Let the broker fail to write a snapshot: it answers MISCONF to everything that writes."""
    obstacle = broker.home / "dump.rdb"
    (obstacle / "occupied").mkdir(parents=True)
    with redis.Redis.from_url(broker.url) as client:
        client.config_set("save", "3600 1")
        client.bgsave()
        wait_for(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        with pytest.raises(RefusesCommandsError, match="persist to disk"):
            client.set("a", 1)
        yield
        client.config_set("save", "")


@contextmanager
def killed(broker: Valkey) -> Iterator[None]:
    os.kill(broker.pid(), signal.SIGKILL)
    yield
    broker.start_again(pause=lambda: time.sleep(0.02))


@contextmanager
def frozen(broker: Valkey) -> Iterator[None]:
    os.kill(broker.pid(), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid(), signal.SIGCONT)


TROUBLES = [
    (read_only, SECONDS_OF_TROUBLE),
    (unable_to_save, SECONDS_OF_TROUBLE),
    (killed, SECONDS_OF_TROUBLE),
    (frozen, SECONDS_FROZEN),
]


@contextmanager
def database_away() -> Iterator[None]:
    """Let PostgreSQL refuse and end every session of this test's database, except for the test's own."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute(f'alter database "{name}" allow_connections false')
        try:
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> %s",
                [name, connection.connection.info.backend_pid],
            )
            yield
        finally:
            other.execute(f'alter database "{name}" allow_connections true')


# --- Workers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trouble", "seconds"), TROUBLES)
def test_a_worker_outlives_trouble_of_its_broker(
    lasting_broker: Valkey,
    lasting_worker: "subprocess.Popen[bytes]",
    tmp_path: Path,
    trouble: Callable[[Valkey], AbstractContextManager[None]],
    seconds: float,
) -> None:
    url, notes = lasting_broker.url, tmp_path / "notes"
    compute(url, notes)
    with trouble(lasting_broker):
        time.sleep(seconds)
        assert lasting_worker.poll() is None
    compute(url, notes)
    assert lasting_worker.poll() is None


def test_a_worker_outlives_a_broker_that_dies_while_tasks_are_at_work(
    lasting_broker: Valkey, lasting_worker: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    url, notes = lasting_broker.url, tmp_path / "notes"
    for pause in (0.0, 0.3, 0.5):
        send(url, notes, times=30, seconds=0.1)
        wait_for(lambda: len(read_notes(notes)) > 0)
        with killed(lasting_broker):
            time.sleep(pause)
        compute(url, notes)
        assert lasting_worker.poll() is None
        notes.unlink()


def test_a_worker_that_starts_before_its_broker_waits_for_it(tmp_path: Path) -> None:
    broker, notes = Valkey(tmp_path / "valkey"), tmp_path / "notes"
    with broker.shared() as url:
        pass
    with worker(url) as process:
        time.sleep(SECONDS_OF_TROUBLE)
        assert process.poll() is None
        with broker.shared() as same_url:
            assert same_url == url
            compute(url, notes)


def test_tasks_of_a_process_share_a_session_and_one_that_died_is_replaced(
    committed: None, broker: Valkey, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    with worker(broker.url, concurrency=2):
        send(broker.url, notes, times=30)
        wait_for(lambda: len(read_notes(notes)) == 30)
        sessions = {session for _, session in read_notes(notes)}
        assert len(sessions) <= 2 * 2  # a pool may open a second session when it begins
        with connection.cursor() as cursor:
            cursor.execute("select pg_terminate_backend(pid, 5000) from unnest(%s) as pid", [list(sessions)])
        compute(broker.url, notes)
        assert read_notes(notes)[-1][1] not in sessions


def test_a_worker_outlives_an_absence_of_postgresql(committed: None, broker: Valkey, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    assert connection.pool.reconnect_timeout <= 3  # type: ignore[attr-defined]  # between attempts, after minutes too
    with worker(broker.url) as process:
        compute(broker.url, notes)
        connection.ensure_connection()
        with database_away():
            time.sleep(8)
        started = time.monotonic()
        compute(broker.url, notes)
        assert time.monotonic() - started < 20
        assert process.poll() is None


def test_a_child_process_does_not_use_the_session_of_its_parent(
    committed: None, broker: Valkey, tmp_path: Path
) -> None:
    notes, parent = tmp_path / "notes", tmp_path / "parent"
    with worker(broker.url, concurrency=2, include="tests.celery_open_session", OPEN_SESSION=str(parent)):
        send(broker.url, notes, times=10)
        wait_for(lambda: len(read_notes(notes)) == 10)
        sessions = {session for _, session in read_notes(notes)}
        assert int(parent.read_text()) not in sessions
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from pg_stat_activity where pid = %s", [int(parent.read_text())])
            assert cursor.fetchone() == (1,)


# --- Beat -------------------------------------------------------------------------------------------------------------


def wait_until_beat_sends(url: str) -> None:
    """Empty the queue, and return when there is a message in it."""
    with redis.Redis.from_url(url) as client:
        client.delete("realtime", "batch")
        wait_for(lambda: client.llen("realtime") > 0)


@pytest.mark.parametrize(("trouble", "seconds"), TROUBLES)
def test_beat_outlives_trouble_of_its_broker(
    committed: None, broker: Valkey, trouble: Callable[[Valkey], AbstractContextManager[None]], seconds: float
) -> None:
    url = broker.url
    with celery("beat", url=url) as process:
        wait_until_beat_sends(url)
        with trouble(broker):
            time.sleep(seconds)
        wait_until_beat_sends(url)
        assert process.poll() is None


def test_beat_outlives_an_absence_of_postgresql(committed: None, broker: Valkey) -> None:
    connection.ensure_connection()
    with celery("beat", url=broker.url, program=("-c", BEAT_THAT_READS_OFTEN)) as process:
        wait_until_beat_sends(broker.url)
        with database_away():
            time.sleep(8)
        wait_until_beat_sends(broker.url)
        assert process.poll() is None


def test_beat_that_starts_before_postgresql_waits_for_it(committed: None, broker: Valkey) -> None:
    connection.ensure_connection()
    with database_away(), celery("beat", url=broker.url) as process:
        time.sleep(8)
        assert process.poll() is None
        name = connection.settings_dict["NAME"]
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
            other.execute(f'alter database "{name}" allow_connections true')
        wait_until_beat_sends(broker.url)
