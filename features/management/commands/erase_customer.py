"""The command `manage.py erase_customer ID`."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.validation import check_customer_id
from featurehub.lib.errors import InvalidError
from features.materialization.erasure import erase_customer


class Command(BaseCommand):
    help = "Deletes all data of one customer and prints a receipt. It is safe to run it again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer_id")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_customer_id(options["customer_id"])
        except InvalidError as error:
            raise CommandError(error.detail) from None
        for name, value in asdict(erase_customer(options["customer_id"])).items():
            self.stdout.write(f"{name}: {value}")
