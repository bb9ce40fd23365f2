"""`python -m docs.generator.commands`: print FeatureHub's commands and their options as JSON.

It is run by the project's own Python, and connects to nothing.
"""

import argparse
import json
import os
import sys
from typing import Any

import django
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

APPS = ("featurehub.access", "events", "features")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")
    django.setup()
    json.dump(described_commands(), sys.stdout)


def described_commands() -> list[dict[str, Any]]:
    """Return name, usage, help and arguments of each command, by name; without the options of every command."""
    usual = set(BaseCommand().create_parser("manage.py", "any")._option_string_actions)
    described = []
    for name, app in sorted(get_commands().items()):
        if app not in APPS:
            continue
        command = load_command_class(app, name)
        parser = command.create_parser("manage.py", name)
        own = [action for action in parser._actions if not usual.intersection(action.option_strings)]
        described.append(
            {"name": name, "help": str(command.help), "usage": usage_of(name, own), "arguments": rows_of(own)}
        )
    return described


def usage_of(name: str, actions: list[argparse.Action]) -> str:
    formatter = argparse.HelpFormatter("manage.py", width=100)
    formatter.add_usage(f"manage.py {name} %s" % formatter._format_actions_usage(actions, []), [], [], "")
    return formatter.format_help().strip()


def rows_of(actions: list[argparse.Action]) -> list[tuple[str, str]]:
    """Return how each argument is written, and what it is."""
    return [(written(action), str(action.help or "")) for action in actions]


def written(action: argparse.Action) -> str:
    if not action.option_strings:
        return action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.nargs == 0:
        return action.option_strings[-1]
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    return f"{action.option_strings[-1]} {value}"


if __name__ == "__main__":
    main()
