"""The base of commands that import files: what ends them with which status, and in which words."""

import gc
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from featurehub.lib.errors import FeatureHubError
from featurehub.lib.gc_tuning import gc_disabled, short_switch_interval


class ImportReport(NamedTuple):
    """The result of an import in words, and how many rows it listed as rejected in which file."""

    summary: str
    rejected: int
    rejected_file: Path


class ImportCommand(BaseCommand):
    """Import a file with a bar of progress.

    The exit status is 1 if rows were rejected, and 2 if the file can't be imported, or not to its end.
    """

    columns: ClassVar[str]
    # Of an import that broke off: what is stored, and that the command can be run again.
    again: ClassVar[str]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help=f"columns or keys: {self.columns}")

    def import_file(self, path: Path, options: Mapping[str, Any]) -> ImportReport:
        """Import the file."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        # Objects that exist now live until the process ends: no collection needs to look at them.
        gc.freeze()
        try:
            # No garbage collection: rows make no cycles, and a collection takes as long as reading rows.
            # Short turns: PostgreSQL waits while the thread that feeds it waits for its turn, about ten times a batch.
            # With Python's usual 5 ms a turn, an import takes a quarter longer.
            with gc_disabled(), short_switch_interval():
                report = self.import_file(options["file"], options)
        except FeatureHubError as error:
            raise CommandError(error.detail, returncode=2) from None
        except OSError as error:
            broke_off = f"The list of rejected rows can't be written: {error}. {self.again}"
            raise CommandError(broke_off, returncode=2) from None
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"PostgreSQL can't be reached: {error}. {self.again}", returncode=2) from None
        except Exception as error:  # of any kind: exit status 1 would say that all other rows are stored
            broke_off = f"The import broke off ({type(error).__name__}: {error}); --traceback shows where. {self.again}"
            raise CommandError(broke_off, returncode=2) from error
        self.stdout.write(report.summary)
        if report.rejected:
            raise CommandError(
                f"{report.rejected_file} lists the rejected rows with their number and the reason.", returncode=1
            )
