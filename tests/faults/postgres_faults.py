"""Faults of PostgreSQL."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg

from tests.faults.fault import BOTH, Fault
from tests.faults.site import FaultUnavailable, Site
from tests.signals import frozen, frozen_processes

SECONDS_FROZEN = 15.0
SECONDS_DEAD = 3.0
SECONDS_OF_A_FAULT = 8.0
SESSIONS = """
select pid from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
order by state_change desc
"""
END_SESSIONS_IN_COPY = """
select pg_terminate_backend(pid) from pg_stat_activity
where pid <> pg_backend_pid() and state <> 'idle' and query ilike 'copy%'
"""
END_OTHER_SESSIONS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and not pid = any(%s)
"""
# Beside the tables, which earlier faults have filled.
FREE_BYTES = 64 * 1024 * 1024
ATTEMPTS_TO_MOVE = 10


@contextmanager
def session_of(site: Site) -> Iterator[psycopg.Connection]:
    """Open a session that is not among those that a fault hits."""
    with psycopg.connect(site.postgres.url, autocommit=True) as session:
        yield session


def kill(site: Site) -> None:
    site.kill_server(site.postgres)
    time.sleep(SECONDS_DEAD)
    site.start_server(site.postgres)


def kill_a_backend(site: Site) -> None:
    """Kill the process of a session; PostgreSQL then ends all of them, and recovers."""
    with suppress(psycopg.OperationalError), session_of(site) as session:
        os.kill(session.execute(SESSIONS).fetchall()[0][0], signal.SIGKILL)
        time.sleep(1.0)


def end_sessions_in_copy(site: Site) -> None:
    until = time.monotonic() + SECONDS_OF_A_FAULT
    with session_of(site) as session:
        while time.monotonic() < until:
            session.execute(END_SESSIONS_IN_COPY)
            time.sleep(0.001)


def freeze(site: Site) -> None:
    with frozen(site.postgres):
        time.sleep(SECONDS_FROZEN)


def freeze_a_backend(site: Site) -> None:
    with session_of(site) as session:
        pid = session.execute(SESSIONS).fetchall()[0][0]
    with frozen_processes([pid]):
        time.sleep(SECONDS_FROZEN)


def take_all_connections(site: Site) -> None:
    """Open sessions until no more are given, end those of FeatureHub, and take their places, too."""
    with ExitStack() as stack:
        own = list[int]()
        with session_of(site) as first:
            take_connections(site, stack=stack, own=own)
            first.execute(END_OTHER_SESSIONS, [[*own, first.info.backend_pid]])
            until = time.monotonic() + SECONDS_OF_A_FAULT
            while time.monotonic() < until:
                take_connections(site, stack=stack, own=own)
                time.sleep(0.05)


def take_connections(site: Site, *, stack: ExitStack, own: list[int]) -> None:
    with suppress(psycopg.OperationalError):
        while True:
            session = psycopg.connect(site.postgres.url, autocommit=True)
            stack.callback(session.close)
            own.append(session.info.backend_pid)


def fill_disk(site: Site) -> None:
    """Move the tables to a small disk in memory, and fill it for a time."""
    disk = site.folder / "small disk"
    with session_of(site) as session:
        [(of_tables,)] = session.execute("select pg_database_size(current_database())").fetchall()
        mount_small_disk(site, disk=disk, size=of_tables + FREE_BYTES)
        session.execute(f"create tablespace small location '{disk / 'tables'}'")
        move_tables(session)
    with (disk / "filling").open("wb") as filling, suppress(OSError):
        while True:
            os.write(filling.fileno(), bytes(65_536))
    time.sleep(SECONDS_OF_A_FAULT)
    (disk / "filling").unlink()


def move_tables(session: psycopg.Connection) -> None:
    """Move all tables to the small disk. Whoever else locks some of them in another order may win; then try again."""
    for _ in range(ATTEMPTS_TO_MOVE):
        with suppress(psycopg.errors.DeadlockDetected):
            session.execute("alter table all in tablespace pg_default set tablespace small")
            return
    raise AssertionError("The tables were not moved to the small disk.")


def mount_small_disk(site: Site, *, disk: Path, size: int) -> None:
    """Mount a disk of `size` bytes in memory that PostgreSQL's user can write, until the site ends."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        raise FaultUnavailable("Only root can mount a small disk.")
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FaultUnavailable(f"No small disk can be mounted: {done.stderr.strip()}")
    site.at_the_end.callback(subprocess.run, ["umount", "--lazy", str(disk)], check=True)
    tables = disk / "tables"
    tables.mkdir()
    owner = (site.postgres.home / "data").stat()
    os.chown(tables, owner.st_uid, owner.st_gid)


FAULTS = (
    Fault(name="PostgreSQL killed", act=kill, shapes=BOTH, is_telling=True),
    Fault(name="PostgreSQL: one session killed", act=kill_a_backend),
    Fault(name="PostgreSQL: sessions in COPY ended", act=end_sessions_in_copy),
    Fault(name="PostgreSQL frozen", act=freeze),
    Fault(name="PostgreSQL: one session frozen", act=freeze_a_backend),
    Fault(name="PostgreSQL out of connections", act=take_all_connections),
    Fault(name="PostgreSQL's disk full", act=fill_disk),
)
