"""The command `manage.py plan_definitions FILE`."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.errors import FeatureHubError
from features.as_code.applying import plan_definitions
from features.as_code.changes import summary_of
from features.as_code.parsing import read_definitions

DIFFERS = 3


class Command(BaseCommand):
    help = (
        "Prints what apply_definitions would make, change and archive, and what it would refuse, as a diff. Nothing is "
        "changed. The exit status is 0 if there is no difference, 3 if there is some, and 1 if the file is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a YAML file as export_definitions writes it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            changes = plan_definitions(read_definitions(options["file"]))
        except FeatureHubError as error:
            raise CommandError(f"{options['file']}:\n{error.detail}\nNothing can be applied of it.") from None
        for change in changes:
            self.stdout.write(change.text())
        if not changes:
            self.stdout.write("No difference: all that the file names is so here.")
            return
        self.stdout.write(f"Applied, it would be: {summary_of(changes)}.")
        sys.exit(DIFFERS)
