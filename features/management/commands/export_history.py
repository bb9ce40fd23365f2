"""The command `manage.py export_history --to DIR`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.progress import progress_bar
from features.offline.exports import count_history_rows, export_history


class Command(BaseCommand):
    help = "Writes the whole feature history as Parquet, one folder per date. A later run overwrites these folders."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", type=Path, required=True, metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with progress_bar(total=count_history_rows(), unit="rows", description="Exporting") as bar:
                rows = export_history(options["to"], progress=bar.update)
        except OSError as error:
            raise CommandError(f"{options['to']} can't be written: {error}") from None
        self.stdout.write(f"{rows:,} rows were written to {options['to']}.")
