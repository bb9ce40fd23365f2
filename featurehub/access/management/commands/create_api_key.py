"""Create an API key.

`manage.py create_api_key NAME --scope read [--scope write] [--scope ingest] [--scope metrics]
[--requests-per-minute N] [--expires-in-days N]`
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from featurehub.access.key_arguments import LARGEST_LIMIT, add_expires_in_days, in_days, whole
from featurehub.access.models import Scope, create_api_key


class Command(BaseCommand):
    help = "Create an API key and print it. It can't be shown again, since only its hash is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="name of the client that uses the key")
        parser.add_argument("--scope", action="append", choices=Scope.values, required=True, dest="scopes")
        parser.add_argument(
            "--requests-per-minute", type=whole(LARGEST_LIMIT), metavar="N", help="limit of the key; default: no limit"
        )
        add_expires_in_days(parser, key="key")

    def handle(self, *args: Any, **options: Any) -> None:
        _, key = create_api_key(
            options["name"],
            scopes=sorted(set(options["scopes"])),
            requests_per_minute=options["requests_per_minute"],
            expires_at=in_days(options["expires_in_days"]),
        )
        self.stdout.write(key)
