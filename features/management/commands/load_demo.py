"""manage.py load_demo"""

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.progress import progress_bar
from features import store
from features.demo import loading
from features.demo.purchases import purchases_by_customer


class Command(BaseCommand):
    help = "Loads the demo data: real purchases of the CDNOW log with generated visits around them. Twice is once."

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        is_first = not loading.is_loaded()
        if is_first:
            self.store_events(now)
        else:
            self.stdout.write("The demo data is loaded already: nothing is added.")
        try:
            self.compute(now, with_history=is_first)
        except store.AWAY as error:
            raise CommandError(f"Redis is away ({error}). Workers go on with the rest when it is back.") from None
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
            loading.store(events, progress=bar.update)

    def compute(self, now: datetime, *, with_history: bool) -> None:
        if with_history:
            total = len(loading.recent_customer_ids(now=now)) * loading.WEEKS_OF_HISTORY
            with progress_bar(total=total, unit="customers", description="Computing the last weeks") as bar:
                loading.compute_history(now=now, progress=bar.update)
        with progress_bar(total=loading.due_marks(), unit="customers", description="Computing today") as bar:
            loading.compute_now(progress=bar.update)

    def describe(self) -> None:
        loaded = loading.summarise()
        if loaded is None:
            self.stdout.write("Nothing of it is computed yet: a worker does it.")
            return
        self.stdout.write(
            f"Demo data: {loaded.customers:,} customers, {loaded.events:,} events, {loaded.purchases:,} purchases, "
            f"{loaded.active_customers:,} active customers. For example, customer {loaded.example_id} has an "
            f"engagement_score of {loaded.example_score:.3f}."
        )
