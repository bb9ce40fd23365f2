"""The command `manage.py apply_definitions FILE [--by USERNAME] [--reason TEXT]`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from featurehub.lib.errors import FeatureHubError
from features.as_code.applying import NOTHING_CHANGED, apply_definitions
from features.as_code.changes import Applied, summary_of
from features.as_code.parsing import read_definitions


class Command(BaseCommand):
    help = (
        "Makes what a file of export_definitions names, in one transaction: event types and feature sets; definitions "
        "in draft versions and weights in draft sets, which go live by a step in the admin only. Run again, it changes "
        "nothing. The exit status is 1 if something is refused; nothing was changed then."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a YAML file as export_definitions writes it")
        parser.add_argument(
            "--by", metavar="USERNAME", help="the user whose steps these are in the log; none without it"
        )
        parser.add_argument("--reason", help="it is kept in the log; by default the file's name")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        reason = options["reason"] or f"Applied from {path.name}."
        applied = Applied(by=user_named(options["by"]), reason=reason, file=path.name)
        try:
            changes = apply_definitions(read_definitions(path), applied=applied)
        except FeatureHubError as error:
            raise CommandError(f"{path}:\n{error.detail}\n{NOTHING_CHANGED}") from None
        for change in changes:
            self.stdout.write(change.text())
        if not changes:
            self.stdout.write("No difference: all that the file names is so here. Nothing was changed.")
            return
        self.stdout.write(f"{summary_of(changes)}. Nothing went live: drafts wait in the admin, versions and weights.")


def user_named(name: str | None) -> User | None:
    """Return the user of this name, None without a name. Raise CommandError where there is none."""
    user = None if name is None else User.objects.filter(username=name, is_active=True).first()
    if name is not None and user is None:
        raise CommandError(f"There is no active user {name}. {NOTHING_CHANGED}")
    return user
