"""The command `manage.py erase_customer ID`."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.validation import check_customer_id
from featurehub.lib.errors import InvalidError
from features.materialization.erasure import erase_customer

NOT_DONE = (
    "Not done yet: Redis is away and may hold values, which are read until a worker has deleted them, as soon as Redis "
    "is back. Run the command again to see whether it is done."
)


class Command(BaseCommand):
    help = (
        "Deletes all data of one customer and prints a receipt. It is safe to run it again. The exit status is 2 if "
        "Redis is away, so that values are still read from it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer_id")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_customer_id(options["customer_id"])
        except InvalidError as error:
            raise CommandError(error.detail) from None
        receipt = erase_customer(options["customer_id"])
        for name, value in asdict(receipt).items():
            self.stdout.write(f"{name}: {value}")
        if not receipt.done:
            raise CommandError(NOT_DONE, returncode=2)
