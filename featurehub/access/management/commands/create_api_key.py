"""manage.py create_api_key NAME --scope read [--scope write] [--scope ingest]"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from featurehub.access.models import Scope, create_api_key


class Command(BaseCommand):
    help = "Makes an API key and prints it: once, since only its hash is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="who the key is for")
        parser.add_argument("--scope", action="append", choices=Scope.values, required=True, dest="scopes")

    def handle(self, *args: Any, **options: Any) -> None:
        _, key = create_api_key(options["name"], scopes=sorted(set(options["scopes"])))
        self.stdout.write(key)
