"""manage.py rebuild_cache"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.progress import progress_bar
from features import store
from features.models import Customer
from features.publishing import publish_everybody


class Command(BaseCommand):
    help = "Fills Redis with the live values of every customer, from PostgreSQL. What is newer in Redis stays."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with progress_bar(total=Customer.objects.count(), unit="customers", description="Publishing") as bar:
                published = publish_everybody(progress=bar.update)
        except store.AWAY as error:
            raise CommandError(f"Redis is away ({error}): start it and run the same command again.") from None
        self.stdout.write(f"{published:,} customers were published.")
