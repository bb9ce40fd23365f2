"""The command `manage.py check_consistency [--repair]`."""

import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.progress import progress_bar
from featurehub.lib.redis_away import REDIS_AWAY
from features.models import ConsistencyCheck, Run
from features.monitoring import consistency
from features.monitoring.outcomes import beside, outcome

# Postponed customers are looked at again after so long.
SECONDS_BETWEEN_ROUNDS = 3.0


class Command(BaseCommand):
    help = (
        "Compares random customers in Redis and in the history with the events, as the hourly check does. "
        "Exits with 1 where a value is wrong and was not repaired."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repair", action="store_true", help="repair the customers that are wrong")

    def handle(self, *args: Any, **options: Any) -> None:
        run = consistency.begin_check(now=datetime.now(UTC))
        if run is None:
            raise CommandError("Everybody is being recomputed. Run this command again when that is done.")
        try:
            check = self.follow(run)
            self.stdout.write(" ".join([outcome(check), *beside(check)]))
            if options["repair"] and (repair := consistency.begin_repair(check)) is not None:
                while consistency.repair_next(repair):
                    pass
        except REDIS_AWAY as error:
            raise CommandError(f"Redis is unavailable ({error}). Start it and run this command again.") from None
        left = consistency.to_repair(check).count()
        if left:
            raise CommandError(f"{left:,} customers are wrong: see Operations, Consistency in the admin, or --repair.")

    def follow(self, run: Run) -> ConsistencyCheck:
        """Go on with the check to its end, beside a worker that may do so too."""
        run.refresh_from_db()
        with progress_bar(total=run.total, unit="customers", description="Comparing") as bar:
            while run.state == Run.State.RUNNING:
                compared = consistency.check_next(run)
                run.refresh_from_db()
                bar.update(run.done - bar.n)
                if not compared and run.state == Run.State.RUNNING:
                    time.sleep(SECONDS_BETWEEN_ROUNDS)
        return ConsistencyCheck.objects.select_related("run").get(run=run)
