"""The command `manage.py rebuild_cache`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.progress import progress_bar
from featurehub.lib.redis_away import REDIS_AWAY
from features.models import Customer
from features.online.publish import publish_everybody


class Command(BaseCommand):
    help = "Publishes the values of every customer from PostgreSQL to Redis. Newer values in Redis are kept."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with progress_bar(total=Customer.objects.count(), unit="customers", description="Publishing") as bar:
                published = publish_everybody(progress=bar.update)
        except REDIS_AWAY as error:
            raise CommandError(f"Redis is unavailable ({error}). Start it and run this command again.") from None
        self.stdout.write(f"{published:,} customers were published.")
