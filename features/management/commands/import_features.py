"""Import values that clients own: `manage.py import_features FILE --type customer [--version 1.0]`."""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from featurehub.files.import_command import ImportCommand, ImportReport
from featurehub.files.rejections import RejectedFile
from featurehub.lib.progress import progress_bar
from features.imports.sessions import some_sessions
from features.imports.staging import stage_rows
from features.imports.value_files import open_values
from features.imports.writing import write_staged
from features.models import WRITTEN_BY_CLIENTS


class Command(ImportCommand):
    help = (
        "Import values of features from a .csv, .jsonl or .parquet file with one column a feature. Rejected rows are "
        "listed in FILE.rejected.jsonl with their number and the reason. The exit status is 1 if rows were rejected, "
        "and 2 if the file can't be imported. Unchanged values append nothing if the command is run again."
    )
    columns = "customer_id, timestamp (optional), and the names of features"
    again = "Values that were written are kept. Run the same command again to continue: they are not written twice."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django has a --version of its own, which tells Django's.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--type", required=True, choices=list(WRITTEN_BY_CLIENTS), help="the features' type")
        parser.add_argument("--version", help="the version of the type to write; the live one if it is left out")

    def import_file(self, path: Path, options: Mapping[str, Any]) -> ImportReport:
        file = open_values(path, feature_type=options["type"], version=options["version"])
        with RejectedFile(path) as rejected, some_sessions(file.sessions) as sessions:
            with progress_bar(total=file.rows.total, unit="rows", description=f"{path.name}: read") as bar:
                staged = stage_rows(
                    file.rows, sessions=sessions, bounds=file.bounds, rejected=rejected, progress=bar.update
                )
            with progress_bar(total=staged.accepted, unit="rows", description=f"{path.name}: written") as bar:
                written = write_staged(file, sessions=sessions, rejected=rejected, progress=bar.update)
        refused = staged.rejected + written.erased
        summary = (
            f"{path}: {staged.accepted - written.erased:,} accepted, {written.appended:,} appended, "
            f"{refused:,} rejected"
        )
        return ImportReport(summary, refused, rejected.path)
