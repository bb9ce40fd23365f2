"""The command `manage.py build_training_set LABELS.csv --out FILE.parquet`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.clock import parse_moment
from featurehub.lib.errors import FeatureHubError
from featurehub.lib.progress import progress_bar
from features.offline.training_set import build_training_set, no_bar


class Command(BaseCommand):
    help = "Joins labels (CSV: customer_id, timestamp, …) to the values at each label's timestamp, never later ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("labels", type=Path)
        parser.add_argument("--out", type=Path, required=True, help="the Parquet file to write")
        parser.add_argument("--names", help="features, separated by commas; by default all features of the versions")
        parser.add_argument("--feature-version", dest="versions", action="append", default=[], help="behavioral:1.0")
        parser.add_argument("--known-at", help="use only values that had been recorded by this moment")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            known_at = parse_moment(options["known_at"], attr="known_at") if options["known_at"] else None
            rows = build_training_set(
                options["labels"],
                out=options["out"],
                names=[name.strip() for name in options["names"].split(",")] if options["names"] else None,
                versions=options["versions"],
                known_at=known_at,
                bar=progress_bar if options["verbosity"] else no_bar,
            )
        except FeatureHubError as error:
            raise CommandError(error.detail) from None
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from None
        self.stdout.write(f"{rows:,} rows were written to {options['out']}")
