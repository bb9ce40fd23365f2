"""The commands that README shows exist."""

import re
from pathlib import Path

from django.core.management import get_commands

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text()
TYPED = re.findall(r"^\$ (.+)$", README, re.MULTILINE)


def test_the_steps_for_production_name_commands_that_exist() -> None:
    steps = [re.match(r"python manage\.py (\w+)", line) for line in TYPED]
    commands = [step[1] for step in steps if step is not None]
    assert {"check", "migrate", "collectstatic", "create_api_key"} <= set(commands)
    assert set(commands) <= set(get_commands())


def test_make_targets_that_readme_names_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z][a-z-]+)`", README)) <= targets
