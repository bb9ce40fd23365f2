"""`manage.py migrate` beside programs that go on reading and writing."""

import io
import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.db.migrations import CreateModel, Migration, RunSQL
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.fields import FieldOperation
from django.db.migrations.operations.models import IndexOperation

from featurehub.database.management.commands import migrate
from tests.at_once import SECONDS_AT_MOST, at_once, somebody_waits

# The migration after it changes features_customer, and then features_weightset.
BEFORE = "0032_customer_prefix_index_dropped"
LOCK = "lock table "
USE_WEIGHT_SETS = "lock table features_weightset in row share mode"
USE_CUSTOMERS = "lock table features_customer in row exclusive mode"


@pytest.fixture
def migrated_back(committed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.05)
    call_command("migrate", "features", BEFORE, verbosity=0)
    yield
    call_command("migrate", verbosity=0)


def changed_tables(migration: Migration) -> set[str]:
    """Return the tables that the migration changes and has not made, also those that new foreign keys refer to."""
    made, changed = set(), set()
    for operation in migration.operations:
        if isinstance(operation, CreateModel):
            made.add(operation.name_lower)
        elif isinstance(operation, (FieldOperation, IndexOperation)):
            changed.add(operation.model_name.lower())
        if isinstance(operation, FieldOperation) and operation.field is not None and operation.field.remote_field:
            changed.add(str(operation.field.remote_field.model).lower())
    return {f"{migration.app_label}_{name.removeprefix(f'{migration.app_label}.')}" for name in changed - made}


def locked_tables(migration: Migration) -> set[str]:
    """Return the tables that the migration locks before it does anything else."""
    first = migration.operations[0]
    if not isinstance(first, RunSQL) or not str(first.sql).startswith(LOCK):
        return set()
    return set(str(first.sql).removeprefix(LOCK).split(", "))


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def wait_until_somebody_waits() -> None:
    end = time.monotonic() + SECONDS_AT_MOST
    while not somebody_waits():
        assert time.monotonic() < end, "The migration does not wait for the table."
        time.sleep(0.01)


def setting(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("select current_setting(%s)", [name])
        return str(cursor.fetchone()[0])


def while_customers_are_used(migration: Callable[[], None]) -> None:
    """Run the migration while another transaction uses the table of customers."""
    is_used, has_ended = Event(), Event()

    def program() -> None:
        with transaction.atomic():
            execute(USE_CUSTOMERS)
            is_used.set()
            assert has_ended.wait(SECONDS_AT_MOST)

    def migrate_beside_it() -> None:
        assert is_used.wait(SECONDS_AT_MOST)
        try:
            migration()
        finally:
            has_ended.set()

    at_once(program, migrate_beside_it)


@pytest.mark.parametrize("app", ["access", "events", "features"])
def test_migrations_of_several_tables_lock_all_of_them_first(app: str) -> None:
    """A lock taken later is waited for while others wait for those that are held."""
    migrations = MigrationLoader(None).disk_migrations
    later = [migrations[key] for key in sorted(migrations) if key[0] == app and not key[1].startswith("0001")]
    several = [migration for migration in later if len(changed_tables(migration)) > 1]
    assert [(each.name, locked_tables(each)) for each in several] == [
        (each.name, changed_tables(each)) for each in several
    ]
    assert bool(several) == (app == "features")


def test_a_program_that_wants_what_a_migration_holds_gets_it(migrated_back: None) -> None:
    is_used = Event()
    said = io.StringIO()

    def program() -> None:
        with transaction.atomic():
            execute(USE_WEIGHT_SETS)
            is_used.set()
            wait_until_somebody_waits()
            execute(USE_CUSTOMERS)

    def migration() -> None:
        assert is_used.wait(SECONDS_AT_MOST)
        call_command("migrate", verbosity=1, stderr=said, stdout=io.StringIO())

    at_once(program, migration)
    assert migrate.WAITING in said.getvalue()
    call_command("migrate", check_unapplied=True, verbosity=0)
    assert setting("lock_timeout") == "0"


def test_a_table_that_is_never_free_ends_the_command_with_what_to_do(
    migrated_back: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "ATTEMPTS", 2)

    def migration() -> None:
        with pytest.raises(CommandError, match=r"tried 2 times.*pg_stat_activity"):
            call_command("migrate", verbosity=0)

    while_customers_are_used(migration)


def test_other_errors_end_it_at_once(migrated_back: None) -> None:
    said = io.StringIO()

    def migration() -> None:
        execute("set statement_timeout = '100ms'")
        try:
            with pytest.raises(OperationalError, match="statement timeout"):
                call_command("migrate", verbosity=1, stderr=said, stdout=io.StringIO())
        finally:
            execute("reset statement_timeout")

    while_customers_are_used(migration)
    assert said.getvalue() == ""
