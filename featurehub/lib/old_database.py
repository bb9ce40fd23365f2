"""Databases of unreleased versions of FeatureHub, whose migrations this version does not have."""

from typing import Any

from django.core.management import CommandError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

UNRELEASED_DATABASE = (
    "An unreleased version of FeatureHub made this database, and this version cannot migrate it: "
    "move the folder .local (or FEATUREHUB_LOCAL_DIR) aside, or set DATABASE_URL to an empty database; "
    "to keep the events, first export them with the version that made it (manage.py export_events --to DIR), "
    "then import each file (manage.py import_events FILE)."
)
# The second migration of each app in those versions. `migrate` applied access first, so one of them is always there.
_UNRELEASED_MIGRATIONS = frozenset(
    {
        ("access", "0002_requests_per_minute"),
        ("events", "0002_erasedcustomer"),
        ("features", "0002_append_only_and_frozen"),
    }
)


def is_unreleased(connection: BaseDatabaseWrapper) -> bool:
    """Return whether an unreleased version of FeatureHub migrated the database."""
    return not _UNRELEASED_MIGRATIONS.isdisjoint(MigrationRecorder(connection).applied_migrations())


def refuse_unreleased(*, using: str, **_: Any) -> None:
    """Raise CommandError for a database of an unreleased version: a receiver of pre_migrate."""
    if is_unreleased(connections[using]):
        raise CommandError(UNRELEASED_DATABASE)
