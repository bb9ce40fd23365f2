"""Create an API key.

`manage.py create_api_key NAME --scope read [--scope write] [--scope ingest] [--requests-per-minute N]`
"""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand

from featurehub.access.models import Scope, create_api_key
from featurehub.lib.environment import whole_number

LARGEST_LIMIT = 2_147_483_647  # PostgreSQL's integer


class Command(BaseCommand):
    help = "Create an API key and print it. It can't be shown again, since only its hash is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="name of the client that uses the key")
        parser.add_argument("--scope", action="append", choices=Scope.values, required=True, dest="scopes")
        parser.add_argument(
            "--requests-per-minute", type=limit, metavar="N", help="limit of the key; default: no limit"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        _, key = create_api_key(
            options["name"],
            scopes=sorted(set(options["scopes"])),
            requests_per_minute=options["requests_per_minute"],
        )
        self.stdout.write(key)


def limit(text: str) -> int:
    """Return the limit as a number. Raise ArgumentTypeError for other texts."""
    try:
        return whole_number(least=1, most=LARGEST_LIMIT)(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a whole number from 1 to {LARGEST_LIMIT}, not {text!r}") from None
