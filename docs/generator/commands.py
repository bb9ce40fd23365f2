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
    described = []
    for name, app in sorted(get_commands().items()):
        if app in APPS:
            command = load_command_class(app, name)
            own = own_actions(command)
            usage = " ".join(["manage.py", name, *map(in_usage, own)])
            arguments = [(written(action), str(action.help or "")) for action in own]
            described.append({"name": name, "help": str(command.help), "usage": usage, "arguments": arguments})
    return described


def own_actions(command: BaseCommand) -> list[argparse.Action]:
    """Return the arguments that the command adds to those of every command, or has in place of them."""
    every = BaseCommand().create_parser("manage.py", "any")._option_string_actions
    actions = command.create_parser("manage.py", "any")._actions
    return [action for action in actions if not is_usual(action, every=every)]


def is_usual(action: argparse.Action, *, every: dict[str, argparse.Action]) -> bool:
    return any(type(every.get(name)) is type(action) for name in action.option_strings)


def in_usage(action: argparse.Action) -> str:
    is_needed = action.required if action.option_strings else action.nargs != "?"
    return written(action) if is_needed else f"[{written(action)}]"


def written(action: argparse.Action) -> str:
    if not action.option_strings:
        return action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.nargs == 0:
        return action.option_strings[-1]
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    return f"{action.option_strings[-1]} {value}"


if __name__ == "__main__":
    main()
