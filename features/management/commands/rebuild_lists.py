"""The command `manage.py rebuild_lists`."""

import time
from typing import Any

from django.core.management.base import BaseCommand

from featurehub.lib.progress import progress_bar
from features.materialization import customer_lists
from features.models import Run

SECONDS_BETWEEN_CHECKS = 0.5


class Command(BaseCommand):
    help = "Fills in the customer lists from the newest values in PostgreSQL, whatever they hold. Workers help."

    def handle(self, *args: Any, **options: Any) -> None:
        run = customer_lists.begin_filling(anew=True)
        assert run is not None
        with progress_bar(total=run.total, unit="parts", description="Filling in") as bar:
            while run.state == Run.State.RUNNING:
                if not customer_lists.fill_next(run):
                    time.sleep(SECONDS_BETWEEN_CHECKS)  # workers are filling in the last parts
                run.refresh_from_db()
                bar.update(run.done - bar.n)
        self.stdout.write(f"The customer lists: {run.state}, {run.done} of {run.total} parts.")
