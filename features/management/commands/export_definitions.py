"""The command `manage.py export_definitions [--out FILE]`."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from features.as_code.contents import exported_text
from features.as_code.shapes import json_schema


class Command(BaseCommand):
    help = (
        "Writes event types, definitions, versions, feature sets and the active weights as one YAML file, for "
        "plan_definitions and apply_definitions. Retired versions and what only they use are left out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write; standard output without it")
        parser.add_argument("--schema", action="store_true", help="write the JSON Schema of such files instead")

    def handle(self, *args: Any, **options: Any) -> None:
        schema = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
        text = schema if options["schema"] else exported_text()
        path: Path | None = options["out"]
        if path is None:
            self.stdout.write(text, ending="")
            return
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from None
