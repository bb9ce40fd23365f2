"""Import events from a file: `manage.py import_events FILE`."""

import gc
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from events.imports.batches import EventFile
from events.imports.importing import Imported, import_events, open_events
from events.imports.rejections import RejectedFile
from featurehub.lib.errors import FeatureHubError
from featurehub.lib.gc_tuning import gc_disabled, short_switch_interval
from featurehub.lib.progress import progress_bar

AGAIN = "Stored events are kept. Run the same command again to continue: no event counts twice."


class Command(BaseCommand):
    help = (
        "Import events from a .csv, .jsonl or .parquet file. Rejected rows are listed in FILE.rejected.jsonl with "
        "their number and the reason. The exit status is 1 if rows were rejected, and 2 if the file can't be imported. "
        "No event counts twice if the command is run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="columns or keys: customer_id, event_type, timestamp, …")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        # Objects that exist now live until the process ends: no collection needs to look at them.
        gc.freeze()
        try:
            # No garbage collection: rows make no cycles, and a collection takes as long as reading rows.
            # Short turns: PostgreSQL waits while the thread that feeds it waits for its turn, about ten times a batch.
            # With Python's usual 5 ms a turn, an import takes a quarter longer.
            with gc_disabled(), short_switch_interval():
                imported, rejected = self.run_import(open_events(path), path=path)
        except FeatureHubError as error:
            raise CommandError(error.detail, returncode=2) from None
        except OSError as error:
            raise CommandError(f"The list of rejected rows can't be written: {error}. {AGAIN}", returncode=2) from None
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"PostgreSQL can't be reached: {error}. {AGAIN}", returncode=2) from None
        except Exception as error:  # of any kind: exit status 1 would say that all other rows are stored
            broke_off = f"The import broke off ({type(error).__name__}: {error}); --traceback shows where. {AGAIN}"
            raise CommandError(broke_off, returncode=2) from error
        self.stdout.write(
            f"{path}: {imported.accepted:,} accepted, {imported.duplicates:,} duplicates, "
            f"{imported.rejected:,} rejected"
        )
        if imported.rejected:
            raise CommandError(f"{rejected} lists the rejected rows with their number and the reason.", returncode=1)

    def run_import(self, file: EventFile, *, path: Path) -> tuple[Imported, Path]:
        """Import the file with a progress bar.

        Return the counts, and the path of the file that lists rejected rows.
        """
        with (
            RejectedFile(path) as rejected,
            progress_bar(total=file.total, unit="rows", description=path.name) as bar,
        ):
            return import_events(file, rejected=rejected, progress=bar.update), rejected.path
