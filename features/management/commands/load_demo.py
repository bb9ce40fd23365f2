"""The command `manage.py load_demo`."""

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.progress import progress_bar
from featurehub.lib.redis_away import REDIS_AWAY
from features.demo import loading
from features.demo.purchases import purchases_by_customer


class Command(BaseCommand):
    help = "Loads the demo data: real purchases from the CDNOW log and generated visits. A second run adds nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        if loading.is_loaded():
            self.stdout.write("The demo data is already loaded. No events were added.")
        else:
            self.store_events(datetime.now(UTC))
        try:
            self.compute()
        except REDIS_AWAY as error:
            raise CommandError(
                f"Redis is unavailable ({error}). Workers will complete the load when it is back."
            ) from None
        self.describe()

    def store_events(self, now: datetime) -> None:
        customers = len(purchases_by_customer())
        self.stdout.write(
            f"Loading the purchases of {customers:,} customers, one in ten of the CDNOW log (Fader and Hardie), "
            "with the last day shifted to now, and visits generated around them"
        )
        with progress_bar(total=customers, unit="customers", description="Generating") as bar:
            events = loading.generate(now=now, progress=bar.update)
        with progress_bar(total=len(events), unit="events", description="Storing") as bar:
            loading.store_demo_events(events, progress=bar.update)

    def compute(self) -> None:
        """Compute what is not computed yet: everything, or what an interrupted call left."""
        if parts := loading.history_left():
            total = sum(len(part.customer_ids) for part in parts)
            with progress_bar(total=total, unit="customers", description="Computing the last weeks") as bar:
                loading.compute_history(parts, progress=bar.update)
        with progress_bar(total=loading.due_marks(), unit="customers", description="Computing today") as bar:
            loading.compute_now(progress=bar.update)

    def describe(self) -> None:
        loaded = loading.summarise()
        if loaded is None:
            self.stdout.write("The features of the demo data are not computed yet. A worker will compute them.")
            return
        self.stdout.write(
            f"Demo data: {loaded.customers:,} customers, {loaded.events:,} events, {loaded.purchases:,} purchases, "
            f"{loaded.active_customers:,} active customers. For example, customer {loaded.example_id} has an "
            f"engagement_score of {loaded.example_score:.3f}."
        )
