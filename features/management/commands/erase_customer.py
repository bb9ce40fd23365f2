"""The command `manage.py erase_customer ID`."""

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.validation import check_customer_id
from featurehub.lib.errors import InvalidError
from features.materialization.erasure import erase_customer, is_known

NOT_DONE = (
    "Not done yet: Redis is away and may hold values, which are read until a worker has deleted them, as soon as Redis "
    "is back. Run the command again to see whether it is done."
)


NOTHING_STORED = "Nothing is stored of {!r}, and nothing was erased of it: is the id right?"
SAY_YES = "Repeat the command with --yes to refuse events of this id from now on anyway."


class Command(BaseCommand):
    help = (
        "Deletes all data of one customer and prints a receipt. It is safe to run it again. The exit status is 2 if "
        "Redis is away, so that values are still read from it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer_id")
        parser.add_argument("--yes", action="store_true", help="erase it without a question, also an unknown id")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_customer_id(options["customer_id"])
        except InvalidError as error:
            raise CommandError(error.detail) from None
        if not options["yes"] and not is_known(options["customer_id"]):
            self.ask(options["customer_id"])
        receipt = erase_customer(options["customer_id"])
        for name, value in asdict(receipt).items():
            self.stdout.write(f"{name}: {value}")
        if not receipt.done:
            raise CommandError(NOT_DONE, returncode=2)

    def ask(self, customer_id: str) -> None:
        """Ask whether an unknown id is meant. Raise CommandError where it is not, or nobody can be asked."""
        sentence = NOTHING_STORED.format(customer_id)
        if not sys.stdin.isatty():
            raise CommandError(f"{sentence} {SAY_YES}")
        if input(f"{sentence} Erase it anyway, so that events of it are refused from now on? [y/N] ").lower() != "y":
            raise CommandError("Nothing was erased.")
