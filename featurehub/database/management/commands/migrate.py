"""Migrate the database, and give way to the programs that use it meanwhile. `manage.py migrate`, as Django's."""

import time
from typing import Any

import psycopg
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

# Whoever wants a table that a migration waits for waits behind it. The limit is below PostgreSQL's `deadlock_timeout`
# (1 s), after which it would end one of those that wait for each other, and maybe a program's transaction.
LOCK_TIMEOUT = "500ms"
PAUSE_SECONDS = 1.0
ATTEMPTS = 400  # ten minutes, where none gets any further
IN_USE = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
WAITING = "Other programs use what a migration changes. Trying again."
GIVEN_UP = (
    "A migration was tried {attempts} times, and other programs always used what it changes. What was migrated before "
    "stays. See in pg_stat_activity which transaction takes so long, and migrate again when it has ended."
)


class Command(migrate.Command):
    """A migration that can't have its locks at once is rolled back, lets the others go on, and tries again."""

    def handle(self, *args: Any, **options: Any) -> None:
        database = connections[options["database"]]
        if database.in_atomic_block:  # the locks of a caller's transaction are the caller's
            super().handle(*args, **options)
            return
        for _ in range(ATTEMPTS):
            with database.cursor() as cursor:
                cursor.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
            try:
                super().handle(*args, **options)
                return
            except OperationalError as error:
                if not isinstance(error.__cause__, IN_USE):
                    raise
            finally:
                with database.cursor() as cursor:
                    cursor.execute("reset lock_timeout")
            if options["verbosity"]:
                self.stderr.write(WAITING)
            time.sleep(PAUSE_SECONDS)
        raise CommandError(GIVEN_UP.format(attempts=ATTEMPTS))
