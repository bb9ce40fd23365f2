"""Replace an API key: `manage.py rotate_api_key BEGINNING [--old-ends-in-hours N] [--expires-in-days N]`."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from featurehub.access.key_arguments import HOURS_OF_BOTH, LONGEST_DAYS, add_expires_in_days, in_days, whole
from featurehub.access.models import ApiKey, rotate_api_key
from featurehub.lib.errors import ConflictError


class Command(BaseCommand):
    help = (
        "Create the successor of an API key, with the same name, scopes and limit, and print it, once. "
        "Both keys are valid until the old one ends."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("beginning", help="what the key begins with, as the admin shows it: fh_ and 7 characters")
        parser.add_argument(
            "--old-ends-in-hours",
            type=whole(24 * LONGEST_DAYS, least=0),
            default=HOURS_OF_BOTH,
            metavar="N",
            help=f"how long the old key stays valid; default: {HOURS_OF_BOTH}, a week",
        )
        add_expires_in_days(parser, key="new key")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        try:
            old = ApiKey.objects.get(prefix=options["beginning"], revoked_at__isnull=True)
        except (ApiKey.DoesNotExist, ApiKey.MultipleObjectsReturned):
            raise CommandError(
                f"There is not one key that begins with {options['beginning']} and is not revoked."
            ) from None
        try:
            _, key = rotate_api_key(
                old.pk,
                old_ends_at=now + timedelta(hours=options["old_ends_in_hours"]),
                expires_at=in_days(options["expires_in_days"]),
                now=now,
            )
        except ConflictError as error:
            raise CommandError(error.detail) from None
        self.stdout.write(key)
