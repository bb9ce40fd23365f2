"""The embedded servers: real servers, several users at once, real kills."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from featurehub.devserver import servers
from featurehub.devserver.postgres import Postgres
from featurehub.devserver.server import EmbeddedServerError, Server
from featurehub.devserver.valkey import Valkey

PROJECT = Path(__file__).resolve().parents[3]
KEPT = ("from before", "from before")
# A program that uses the servers that its arguments name, until its input ends.
USER = """
import json, sys
from pathlib import Path
from featurehub.devserver import servers
with servers.running_servers(Path(sys.argv[1]), names=sys.argv[2:]) as urls:
    print(json.dumps(urls), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """Make a new folder that other system users can enter, unlike tmp_path."""
    with new_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """Return a folder whose servers have run, hold KEPT, and are stopped; each test leaves it so."""
    with new_folder() as folder:
        with servers.running_servers(folder) as urls:
            write(urls)
        yield folder


@contextmanager
def new_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="featurehub-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def another_user(home: Path, *names: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run another program that uses the servers until the block ends. Yield the URLs that it got."""
    command = [sys.executable, "-c", USER, str(home), *names]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, json.loads(process.stdout.readline())
        process.stdin.close()


def connect(urls: dict[str, str]) -> psycopg.Connection:
    return psycopg.connect(urls["DATABASE_URL"], autocommit=True)


def write(urls: dict[str, str]) -> None:
    with connect(urls) as connection:
        connection.execute("create table kept as select 'from before' as value")
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        client.set("kept", "from before")


def read(urls: dict[str, str]) -> tuple[str, str]:
    with connect(urls) as connection, redis.Redis.from_url(urls["REDIS_URL"]) as client:
        return connection.execute("select value from kept").fetchone()[0], client.get("kept").decode()


def kill(server: Server) -> None:
    os.kill(server.pid(), signal.SIGKILL)
    while server.pid() is not None:
        time.sleep(0.01)


def test_the_servers_listen_on_the_loopback_and_ask_for_a_password(used_home: Path) -> None:
    with servers.running_servers(used_home) as urls:
        with connect(urls) as connection:
            assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)
        address = urlsplit(urls["DATABASE_URL"])
        with pytest.raises(psycopg.OperationalError, match="no password"):
            psycopg.connect(host=address.hostname, port=address.port, user="featurehub")
        with redis.Redis.from_url(urls["REDIS_URL"]) as client:
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}
        with (
            redis.Redis(port=urlsplit(urls["REDIS_URL"]).port, retry=Retry(NoBackoff(), 0)) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_no_file_with_a_password_can_be_read_by_others(used_home: Path) -> None:
    with servers.running_servers(used_home) as urls:
        passwords = [urlsplit(url).password.encode() for url in urls.values()]
        holders = {path: mode for path, mode in modes_below(used_home).items() if holds_one(path, passwords)}
        assert {path.name for path in holders} == {"password", "valkey.conf"}
        assert {mode & 0o777 for mode in holders.values()} == {0o600}


def modes_below(home: Path) -> dict[Path, int]:
    """Return the modes of what is below the folder. Running servers may delete a file at any moment."""
    found = {}
    for folder, folders, files in os.walk(home):  # it passes over a folder that is deleted meanwhile
        for path in (Path(folder, name) for name in (*folders, *files)):
            with suppress(FileNotFoundError):
                found[path] = path.stat().st_mode
    return found


def holds_one(path: Path, texts: list[bytes]) -> bool:
    """Return whether one of the texts is in the file. What is no file, or was deleted meanwhile, holds none."""
    with suppress(FileNotFoundError):
        return path.is_file() and any(text in path.read_bytes() for text in texts)
    return False


def test_no_file_of_the_servers_can_be_read_by_others(home: Path) -> None:
    umask = os.umask(0o022)
    try:
        with servers.running_servers(home) as urls:
            write(urls)
            assert opened_to_others(home) == []
        assert opened_to_others(home) == []
    finally:
        os.umask(umask)


def test_a_folder_that_others_could_read_is_closed_at_the_next_start(used_home: Path) -> None:
    for path in (used_home / "postgres", used_home / "valkey"):
        path.chmod(0o755)
        (path / "log").chmod(0o644)
    with servers.running_servers(used_home) as urls:
        assert read(urls) == KEPT
        assert opened_to_others(used_home) == []


def opened_to_others(home: Path) -> list[str]:
    """Return what is below the folder and gives its group or others a permission."""
    return [f"{path} {mode:o}" for path, mode in modes_below(home).items() if mode & 0o077]


def test_the_log_of_postgresql_quotes_no_rows_and_statements(used_home: Path) -> None:
    with servers.running_servers(used_home, names=["DATABASE_URL"]) as urls, connect(urls) as connection:
        connection.execute("create temporary table once (customer_id text primary key, category text not null)")
        for values in (("secret-customer", "x"), ("secret-customer", None)):
            connection.execute("insert into once values ('secret-customer', 'x') on conflict do nothing")
            with pytest.raises(psycopg.IntegrityError, match="secret-customer"):
                connection.execute("insert into once values (%s, %s)", values)
    log = (used_home / "postgres/log").read_text()
    assert "duplicate key value" in log
    assert "null value in column" in log
    assert "secret-customer" not in log


def test_a_warm_start_keeps_data_passwords_and_ports(used_home: Path) -> None:
    with servers.running_servers(used_home) as first:
        assert read(first) == KEPT
    with servers.running_servers(used_home) as second:
        assert second == first
        assert read(second) == KEPT


def test_a_port_that_is_taken_meanwhile_is_replaced(used_home: Path) -> None:
    with servers.running_servers(used_home) as first:
        ports = [urlsplit(url).port for url in first.values()]
    with (
        socket.create_server(("127.0.0.1", ports[0])),
        socket.create_server(("127.0.0.1", ports[1])),
        servers.running_servers(used_home) as second,
    ):
        assert not {urlsplit(url).port for url in second.values()} & set(ports)
        assert read(second) == KEPT


def test_killed_servers_recover_with_their_data_though_a_session_is_still_busy(used_home: Path) -> None:
    with servers.running_servers(used_home) as urls, closing(connect(urls)) as busy:
        busy.pgconn.send_query(b"select count(*) from generate_series(1, 8000000)")
        time.sleep(0.1)
        for server in (Postgres(used_home / "postgres"), Valkey(used_home / "valkey")):
            kill(server)
        with servers.running_servers(used_home) as again:
            assert read(again) == KEPT


def test_the_second_user_shares_the_server_and_the_last_one_out_stops_it(home: Path) -> None:
    server = Valkey(home / "valkey")
    with another_user(home, "REDIS_URL") as (first, first_urls):
        pid = server.pid()
        with servers.running_servers(home, names=["REDIS_URL"]) as urls:
            assert urls == first_urls
            first.stdin.close()
            assert first.wait(60) == 0
            assert server.pid() == pid
        assert server.pid() is None


def test_the_server_of_a_killed_user_is_taken_over_and_stopped_by_the_next(used_home: Path) -> None:
    server = Postgres(used_home / "postgres")
    with another_user(used_home, "DATABASE_URL") as (first, first_urls):
        first.kill()
    pid = server.pid()
    assert pid is not None
    with servers.running_servers(used_home, names=["DATABASE_URL"]) as urls:
        assert urls == first_urls
        assert server.pid() == pid
    assert server.pid() is None


def test_users_that_come_at_once_get_one_server(home: Path) -> None:
    with (
        another_user(home, "REDIS_URL") as (_, one),
        another_user(home, "REDIS_URL") as (_, two),
        another_user(home, "REDIS_URL") as (_, three),
    ):
        assert one == two == three
        assert (home / "valkey" / "log").read_text().count("Ready to accept connections") == 1
    assert Valkey(home / "valkey").pid() is None


def test_two_folders_run_side_by_side(home: Path) -> None:
    with (
        servers.running_servers(home / "a", names=["REDIS_URL"]) as a,
        servers.running_servers(home / "b", names=["REDIS_URL"]) as b,
    ):
        with redis.Redis.from_url(a["REDIS_URL"]) as client:
            client.set("where", "a")
        with redis.Redis.from_url(b["REDIS_URL"]) as client:
            assert client.get("where") is None


def test_a_server_that_is_shutting_down_is_waited_for(used_home: Path) -> None:
    with servers.running_servers(used_home, names=["DATABASE_URL"]) as urls:
        with connect(urls):
            # This kind of shutdown waits for sessions; ours stays open while the other user waits.
            old = Postgres(used_home / "postgres").pid()
            os.kill(old, signal.SIGTERM)
            command = [sys.executable, "-c", USER, str(used_home), "DATABASE_URL"]
            other = subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            time.sleep(0.5)
            assert other.poll() is None
            assert Postgres(used_home / "postgres").pid() == old
        with other:
            assert json.loads(other.stdout.readline()) == urls
            assert Postgres(used_home / "postgres").pid() != old


def test_pids_in_the_files_of_a_dead_server_may_belong_to_another_program_now(used_home: Path) -> None:
    with servers.running_servers(used_home):
        for server in (Postgres(used_home / "postgres"), Valkey(used_home / "valkey")):
            kill(server)
            server.pid_file.write_text(f"{os.getpid()}\n")
        lock_file = used_home / "postgres/data/postmaster.pid"
        lines = lock_file.read_text().splitlines()
        lock_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
        with servers.running_servers(used_home) as again:
            assert read(again) == KEPT


def test_an_interrupted_first_start_is_begun_anew(home: Path) -> None:
    (home / "postgres/initialising/base").mkdir(parents=True)
    with servers.running_servers(home, names=["DATABASE_URL"]) as urls, connect(urls) as connection:
        assert connection.execute("select current_database()").fetchone() == ("featurehub",)


def test_a_server_that_cannot_start_is_an_error_with_its_last_words(home: Path) -> None:
    with servers.running_servers(home, names=["REDIS_URL"]):
        pass
    next((home / "valkey/appendonlydir").glob("*.base.rdb")).write_bytes(b"no data of Valkey's")
    started = time.monotonic()
    with (
        pytest.raises(EmbeddedServerError, match=r"^Valkey did not start; its log, \S*, says: Bad file format[^\n]*$"),
        servers.running_servers(home, names=["REDIS_URL"]),
    ):
        pass
    assert time.monotonic() - started < 10


def test_a_folder_that_only_root_can_enter_is_no_hindrance(tmp_path: Path) -> None:
    with servers.running_servers(tmp_path) as urls:
        write(urls)
    with servers.running_servers(tmp_path) as urls:
        assert read(urls) == KEPT


def local_environment_of(**variables: str) -> dict[str, str]:
    """Return the variables that a program finds in its environment inside local_environment()."""
    program = """
import json, os
from featurehub.devserver.local import local_environment
with local_environment():
    print(json.dumps(dict(os.environ)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=variables, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_what_the_user_set_is_left_alone_and_only_the_unset_server_starts(home: Path) -> None:
    chosen = {"DATABASE_URL": "postgresql://mine/db", "SECRET_KEY": "mine", "FEATUREHUB_LOCAL_DIR": str(home)}
    found = local_environment_of(**chosen)
    assert {name: found[name] for name in chosen} == chosen
    assert found["REDIS_URL"].startswith("redis://:")
    assert found["ALLOWED_HOSTS"] == "127.0.0.1,localhost,[::1]"
    assert found["FEATUREHUB_HTTPS"] == "0"
    assert not (home / "postgres").exists()


def test_the_secret_key_is_made_once_and_for_its_owner_only(home: Path) -> None:
    urls = {"DATABASE_URL": "postgresql://mine/db", "REDIS_URL": "redis://mine", "FEATUREHUB_LOCAL_DIR": str(home)}
    first, second = local_environment_of(**urls), local_environment_of(**urls)
    assert len(first["SECRET_KEY"]) >= 50
    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert (home / "secret_key").stat().st_mode & 0o777 == 0o600


def test_the_key_of_tombstones_is_another_one_that_is_made_once(home: Path) -> None:
    urls = {"DATABASE_URL": "postgresql://mine/db", "REDIS_URL": "redis://mine", "FEATUREHUB_LOCAL_DIR": str(home)}
    first, second = local_environment_of(**urls), local_environment_of(**urls)
    assert first["FEATUREHUB_TOMBSTONE_KEY"] == second["FEATUREHUB_TOMBSTONE_KEY"] != first["SECRET_KEY"]
    assert (home / "tombstone_key").stat().st_mode & 0o777 == 0o600
