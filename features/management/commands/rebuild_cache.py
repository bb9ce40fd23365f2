"""The command `manage.py rebuild_cache`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.progress import progress_bar
from featurehub.lib.redis_away import REDIS_AWAY
from features.materialization.recovery import note_identity
from features.models import Customer
from features.online.identity import read_identity
from features.online.publish import publish_everybody


class Command(BaseCommand):
    help = "Publishes the values of every customer from PostgreSQL to Redis. Newer values in Redis are kept."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with progress_bar(total=Customer.objects.count(), unit="customers", description="Publishing") as bar:
                seen = read_identity()
                published = publish_everybody(progress=bar.update)
                if read_identity() == seen:
                    note_identity(seen)
        except REDIS_AWAY as error:
            raise CommandError(f"Redis is unavailable ({error}). Start it and run this command again.") from None
        self.stdout.write(f"{published:,} customers were published.")
