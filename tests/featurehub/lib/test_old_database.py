"""A database that an unreleased version of FeatureHub made is refused in one sentence, and left as it is."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from featurehub.lib.old_database import UNRELEASED_DATABASE
from tests.at_once import PROJECT, environment_of_tests

# Migrations that unreleased versions applied and this one does not have.
OLD_MIGRATIONS = [
    ("access", "0002_requests_per_minute"),
    ("events", "0002_erasedcustomer"),
    ("features", "0002_append_only_and_frozen"),
]


def applied() -> set[tuple[str, str]]:
    return set(MigrationRecorder(connection).applied_migrations())


def last_migration() -> str:
    """Return the name of the last migration of the app features."""
    ((_, name),) = MigrationLoader(connection).graph.leaf_nodes("features")
    return name


def make_old(*, without: str) -> None:
    """Give the database the first old migrations of each app, and take the migration `without` of this version away."""
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("features", without)
    for app, name in OLD_MIGRATIONS:
        recorder.record_applied(app, name)


@pytest.fixture
def old_database(committed: None) -> Iterator[None]:
    """A database that other processes see as an old one."""
    last = last_migration()
    make_old(without=last)
    yield
    recorder = MigrationRecorder(connection)
    recorder.record_applied("features", last)
    for app, name in OLD_MIGRATIONS:
        recorder.record_unapplied(app, name)


@pytest.mark.parametrize(("app", "name"), OLD_MIGRATIONS)
def test_one_old_migration_is_enough_to_refuse_a_database(db: None, app: str, name: str) -> None:
    MigrationRecorder(connection).record_applied(app, name)
    before = applied()
    with pytest.raises(CommandError) as refused:
        call_command("migrate", verbosity=0)
    assert str(refused.value) == UNRELEASED_DATABASE
    assert applied() == before


def test_a_database_of_this_version_is_migrated(db: None) -> None:
    call_command("migrate", "features", "0004_schedule", verbosity=0)
    assert ("features", "0005_versions_put_aside") not in applied()
    call_command("migrate", verbosity=0)
    assert ("features", "0005_versions_put_aside") in applied()


def test_migrations_of_a_later_version_are_not_taken_for_old_ones(db: None) -> None:
    MigrationRecorder(connection).record_applied("features", "9999_from_a_later_version")
    call_command("migrate", verbosity=0)


def test_manage_py_migrate_ends_with_the_sentence_and_changes_nothing(old_database: None) -> None:
    before = applied()
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity=0"],
        cwd=PROJECT,
        env=environment_of_tests(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout + done.stderr == f"CommandError: {UNRELEASED_DATABASE}\n"
    assert applied() == before


def test_readyz_says_it(db: None, client: Client) -> None:
    make_old(without=last_migration())
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["migrations"] == UNRELEASED_DATABASE
