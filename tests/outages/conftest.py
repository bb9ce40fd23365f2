"""A web process of each pool, on a PostgreSQL and two Valkeys of their own, which tests stop, kill and start again."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from featurehub.devserver.postgres import Postgres
from featurehub.devserver.server import Server
from featurehub.devserver.valkey import Valkey
from tests.at_once import PROJECT
from tests.outages.readers import Web
from tests.ports import free_port
from tests.signals import kill_and_wait

CACHED = [f"cached{number}" for number in range(20)]
SECONDS_TO_START = 60.0
THREADS = {"reads": 1, "api": 8, "admin": 4}
# The sweep, as beat and a worker run it.
SWEEP = """
import time
from features.tasks import publish_overdue_task
while True:
    try:
        publish_overdue_task()
    except Exception as error:
        print(error, flush=True)
    time.sleep(0.5)
"""


@dataclass(kw_only=True)
class Site:
    """The servers, an environment for programs that use them, a key with every scope, and the web processes."""

    postgres: Postgres
    valkey: Valkey
    broker: Valkey
    environment: dict[str, str]
    folder: Path
    stack: ExitStack
    key: str = ""
    webs: dict[str, Web] = field(default_factory=dict)

    def manage(self, *arguments: str) -> str:
        """Return the output of a `manage.py` command."""
        command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
        return subprocess.run(command, env=self.environment, check=True, text=True, stdout=subprocess.PIPE).stdout

    def redis(self) -> "Redis[bytes]":
        return Redis.from_url(self.valkey.url)

    @contextmanager
    def sweep(self) -> Iterator[None]:
        """Publish what is overdue, and what Redis has lost, until the end of the block."""
        command = [sys.executable, str(PROJECT / "manage.py"), "shell", "--verbosity", "0", "-c", SWEEP]
        with (self.folder / "sweep.log").open("w") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
            try:
                yield
            finally:
                process.terminate()
                process.wait(30)

    @contextmanager
    def web(self, pool: str) -> Iterator[Web]:
        """Run a web process of the pool until the end of the block."""
        port = free_port()
        program = [
            Path(sys.executable).parent / "granian", "--interface", "wsgi", "--port", str(port), "--no-ws",
            "--workers", "1", "--blocking-threads", str(THREADS[pool]), "featurehub.wsgi:application",
        ]  # fmt: skip
        with (self.folder / f"{pool} {port}.log").open("w") as log:
            process = subprocess.Popen(
                program, cwd=PROJECT, env=self.environment | {"FEATUREHUB_POOL": pool, "PGAPPNAME": pool},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                web = Web(port=port, key=self.key, log=Path(log.name))
                wait_until(lambda: web.get("/healthz").status == 200)
                yield web
            finally:
                process.terminate()
                process.wait(30)


def wait_until(claim: Any, *, seconds: float = SECONDS_TO_START) -> float:
    """Return the seconds until the claim holds; a failure to connect means that it does not yet."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        with suppress(OSError):
            if claim():
                return time.monotonic() - begun
        time.sleep(0.02)
    raise AssertionError(f"It does not hold after {seconds:.0f} s.")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the servers and the web processes `reads` and `api`, with customers in the cache who have values.

    Customers without any are kept there for a minute only.
    """
    folder = tmp_path_factory.mktemp("outages")
    with ExitStack() as stack:
        postgres, valkey, broker = Postgres(folder / "postgres"), Valkey(folder / "valkey"), Valkey(folder / "broker")
        urls = {
            "DATABASE_URL": stack.enter_context(postgres.shared()),
            "REDIS_URL": stack.enter_context(valkey.shared()),
            "CELERY_BROKER_URL": stack.enter_context(broker.shared()),
        }
        own = {"FEATUREHUB_LOCAL_DIR": str(folder), "SECRET_KEY": "tests", "ALLOWED_HOSTS": "127.0.0.1"}
        own |= {"FEATUREHUB_TOMBSTONE_KEY": "tests", "FEATUREHUB_PUBLIC_METRICS": "1"}
        site = Site(
            postgres=postgres, valkey=valkey, broker=broker, folder=folder, stack=stack,
            environment={**os.environ, **urls, **own, "FEATUREHUB_HTTPS": "0"},
        )  # fmt: skip
        site.manage("migrate", "--verbosity", "0")
        scopes = [argument for scope in ("read", "write", "ingest") for argument in ("--scope", scope)]
        site.key = site.manage("create_api_key", "tests", *scopes).strip()
        stack.enter_context(site.sweep())
        for pool in ("reads", "api"):
            site.webs[pool] = stack.enter_context(site.web(pool))
        for customer_id in CACHED:
            assert site.webs["api"].write(customer_id, 1.0).status == 200
        yield site


@pytest.fixture
def reads(site: Site) -> Web:
    """Return the web process of the pool `reads`, which has CACHED in the cache and everything in order."""
    wait_until_in_order(site)
    return site.webs["reads"]


@pytest.fixture
def api(site: Site) -> Web:
    """Return the web process of the pool `api`, with everything in order."""
    wait_until_in_order(site)
    return site.webs["api"]


def wait_until_in_order(site: Site) -> None:
    api, reads = site.webs["api"], site.webs["reads"]
    wait_until(lambda: api.get("/readyz").status == 200)
    for customer_id in CACHED:
        assert api.read(customer_id).status == 200
        wait_until(lambda customer_id=customer_id: reads.read(customer_id).status == 200)


@contextmanager
def killed(site: Site, server: Server) -> Iterator[None]:
    """Kill the server's main process within the block, and start it again at its end."""
    kill_and_wait(server)
    try:
        yield
    finally:
        server.start_again(pause=lambda: time.sleep(0.02))
