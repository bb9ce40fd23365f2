"""The command `manage.py build_training_set LABELS.csv --out FILE.parquet`."""

from argparse import ArgumentParser
from datetime import UTC
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.clock import parse_moment
from featurehub.lib.errors import FeatureHubError
from featurehub.lib.progress import progress_bar
from features.offline.training_set import NotComputed, build_training_set, no_bar


class Command(BaseCommand):
    help = "Joins labels (CSV: customer_id, timestamp, …) to the values at each label's timestamp, never later ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("labels", type=Path)
        parser.add_argument("--out", type=Path, required=True, help="the Parquet file to write")
        parser.add_argument("--names", help="features, separated by commas; by default all features of the versions")
        parser.add_argument("--feature-version", dest="versions", action="append", default=[], help="behavioral:1.0")
        parser.add_argument("--set", dest="feature_set", help="churn_model:3, in place of names and versions")
        parser.add_argument("--known-at", help="use only values that had been recorded by this moment")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            known_at = parse_moment(options["known_at"], attr="known_at") if options["known_at"] else None
            made = build_training_set(
                options["labels"],
                out=options["out"],
                names=[name.strip() for name in options["names"].split(",")] if options["names"] else None,
                versions=options["versions"],
                feature_set=options["feature_set"],
                known_at=known_at,
                bar=progress_bar if options["verbosity"] else no_bar,
            )
        except FeatureHubError as error:
            raise CommandError(error.detail) from None
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from None
        of_set = f", of {options['feature_set']}: {', '.join(made.versions)}" if options["feature_set"] else ""
        self.stdout.write(f"{made.rows:,} rows were written to {options['out']}{of_set}")
        for lacking in made.not_computed:
            self.stdout.write(lacking_in_words(lacking))
            if known_at is not None:
                self.stdout.write("With --known-at, values that are backfilled later than it do not count.")


def lacking_in_words(lacking: NotComputed) -> str:
    """Return how many rows are before a version's values, and how to backfill them."""
    first = lacking.first.astimezone(UTC)
    version = f"{lacking.view.feature_type}:{lacking.view.number}"
    until = "" if lacking.since is None else f" --until {lacking.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return (
        f"{lacking.rows:,} rows have no values of {version}, as nobody's were computed for their moments, the first "
        f"{first:%Y-%m-%dT%H:%M:%SZ}: they are null there. Backfill them on the page of {version} in the admin, or "
        f"with manage.py recompute --as-of {first:%Y-%m-%dT00:00:00Z}{until}, and build the set again."
    )
