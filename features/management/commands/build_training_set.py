"""The command `manage.py build_training_set [LABELS.csv] --out FILE.parquet`."""

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from featurehub.lib.clock import parse_moment
from featurehub.lib.errors import FeatureHubError, InvalidError
from featurehub.lib.humanize import listed
from featurehub.lib.progress import progress_bar
from features.offline.entity_rows import ACTIVE, ALL, EntityRows, parse_entity_rows
from features.offline.event_training_set import build_from_events
from features.offline.held_join import NotComputed
from features.offline.training_set import TrainingSet, build_training_set, no_bar

# The options that take the place of a file of labels; those after the first three may be left out.
NEEDED = ("every", "since", "until")
WITHOUT_A_FILE = (*NEEDED, "customers", "label")


class Command(BaseCommand):
    help = (
        "Joins customers at moments to the values that they had then, never later ones, and writes them as Parquet. "
        "The rows come from a CSV of labels (customer_id, timestamp, …) or, with --every, --since and --until, from "
        "events: customers × moments."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("labels", type=Path, nargs="?", help="a CSV with the columns customer_id, timestamp, …")
        parser.add_argument("--out", type=Path, required=True, help="the Parquet file to write")
        parser.add_argument("--names", help="features, separated by commas; by default all features of the versions")
        parser.add_argument("--feature-version", dest="versions", action="append", default=[], help="behavioral:1.0")
        parser.add_argument("--set", dest="feature_set", help="churn_model:3, in place of names and versions")
        parser.add_argument("--known-at", help="use only values that had been recorded by this moment")
        rows = parser.add_argument_group("in place of a file of labels")
        rows.add_argument("--every", help="time from one moment to the next, from 1h to 365d: 7d")
        rows.add_argument("--since", help="the first moment: 2026-01-05T00:00:00Z")
        rows.add_argument("--until", help="the last moment is at or before this one")
        rows.add_argument(
            "--customers",
            help=f"{ACTIVE} (the default): at each moment those with an event in the {settings.WINDOW_DAYS} days "
            f"before it; {ALL}: those with any event before it",
        )
        rows.add_argument(
            "--label",
            help="'purchase within 14d': 1 where the customer has such an event after the moment and at most 14d "
            "later, else 0; rows whose 14d are not over yet are left out and counted",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            known_at = parse_moment(options["known_at"], attr="known_at") if options["known_at"] else None
            made = self.build(options, known_at=known_at)
        except FeatureHubError as error:
            raise CommandError(error.detail) from None
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from None
        of_set = f", of {options['feature_set']}: {', '.join(made.versions)}" if options["feature_set"] else ""
        self.stdout.write(f"{made.rows:,} rows were written to {options['out']}{of_set}")
        if made.left_out:
            self.stdout.write(
                f"{made.left_out:,} rows were left out, because '{options['label'].strip()}' is not over for them yet."
            )
        for lacking in made.not_computed:
            self.stdout.write(lacking_in_words(lacking))
            if known_at is not None:
                self.stdout.write("With --known-at, values that are backfilled later than it do not count.")

    def build(self, options: Mapping[str, Any], *, known_at: datetime | None) -> TrainingSet:
        """Build the set from the file of labels, or from events."""
        of_both: dict[str, Any] = {
            "out": options["out"],
            "names": [name.strip() for name in options["names"].split(",")] if options["names"] else None,
            "versions": options["versions"],
            "feature_set": options["feature_set"],
            "known_at": known_at,
            "bar": progress_bar if options["verbosity"] else no_bar,
        }
        rows = rows_of_options(options)
        return build_training_set(options["labels"], **of_both) if rows is None else build_from_events(rows, **of_both)


def rows_of_options(options: Mapping[str, Any]) -> EntityRows | None:
    """Return the rows that the options describe; None where a file has them. Raises InvalidError for less or both."""
    given = [name for name in WITHOUT_A_FILE if options[name] is not None]
    if options["labels"] is not None:
        if given:
            raise InvalidError(
                f"A file of labels has its own rows: leave out {listed([f'--{name}' for name in given])}."
            )
        return None
    lacking = [f"--{name}" for name in NEEDED if options[name] is None]
    if lacking:
        raise InvalidError(f"Without a file of labels, {listed(lacking)} must be given.")
    return parse_entity_rows(
        every=options["every"],
        since=parse_moment(options["since"], attr="since"),
        until=parse_moment(options["until"], attr="until"),
        customers=options["customers"] or ACTIVE,
        label=options["label"],
        now=timezone.now(),
    )


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
