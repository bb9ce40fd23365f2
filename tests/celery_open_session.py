"""A module that a worker imports (`--include`): its main process opens a session in PostgreSQL before it forks."""

import os
from pathlib import Path

from django.db import connection

from tests.celery_probe import note as note  # the worker imports no other module of tests

connection.ensure_connection()
Path(os.environ["OPEN_SESSION"]).write_text(str(connection.connection.info.backend_pid))
