"""Export all events as Parquet: `manage.py export_events --to DIR`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.exports import count_events, export_events
from featurehub.lib.progress import progress_bar


class Command(BaseCommand):
    help = "Export all events as Parquet, in a folder per date. A later run replaces the files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", type=Path, required=True, metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with progress_bar(total=count_events(), unit="events", description="Exporting") as bar:
                rows = export_events(options["to"], progress=bar.update)
        except OSError as error:
            raise CommandError(f"{options['to']} can't be written: {error}") from None
        self.stdout.write(f"{rows:,} events were written to {options['to']}.")
