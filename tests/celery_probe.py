"""Tasks of the tests of workers (`celery worker --include tests.celery_probe`): each notes that it ran."""

import os
import time
from pathlib import Path

from celery import shared_task
from django.db import connection


@shared_task(name="tests.note")
def note(path: str, seconds: float) -> None:
    """Append to the file the pid of this process and that of its session in PostgreSQL, after a time of work."""
    time.sleep(seconds)
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        session = cursor.fetchone()[0]
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()} {session}\n")
