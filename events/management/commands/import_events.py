"""Import events from a file: `manage.py import_events FILE`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from events.imports.importing import import_events, open_events
from featurehub.files.import_command import ImportCommand, ImportReport
from featurehub.files.rejections import RejectedFile
from featurehub.lib.progress import progress_bar


class Command(ImportCommand):
    help = (
        "Import events from a .csv, .jsonl or .parquet file. Rejected rows are listed in FILE.rejected.jsonl with "
        "their number and the reason. The exit status is 1 if rows were rejected, and 2 if the file can't be imported. "
        "No event counts twice if the command is run again."
    )
    columns = "customer_id, event_type, timestamp, …"
    again = "Stored events are kept. Run the same command again to continue: no event counts twice."

    def import_file(self, path: Path, options: Mapping[str, Any]) -> ImportReport:
        file = open_events(path)
        with (
            RejectedFile(path) as rejected,
            progress_bar(total=file.total, unit="rows", description=path.name) as bar,
        ):
            imported = import_events(file, rejected=rejected, progress=bar.update)
        summary = (
            f"{path}: {imported.accepted:,} accepted, {imported.duplicates:,} duplicates, "
            f"{imported.rejected:,} rejected"
        )
        return ImportReport(summary, imported.rejected, rejected.path)
