"""The commands that README shows exist."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.api_client import ApiClient
from tests.factories import url_of

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


def test_commands_are_typed_as_they_work_without_an_active_environment() -> None:
    before_production = README.partition("## In production")[0]
    assert re.findall(r"(?<![/.\w])python manage\.py", before_production) == []
    assert 'export PATH="$PWD/.venv/bin:$PATH"' in README


def test_the_pages_that_readme_leads_to_have_the_buttons_it_names() -> None:
    templates = "".join(path.read_text() for path in PROJECT.glob("features/templates/**/*.html"))
    steps = (PROJECT / "features/admin/weights/steps.py").read_text()
    for name in ("Open in the studio", "Try changes in the studio", "Fit weights now"):
        assert name in templates
        assert name in " ".join(README.split())
    assert "Roll back to this set" in steps
    assert "one click" not in README


@pytest.mark.django_db
def test_the_version_that_readme_pins_can_be_read_on_a_fresh_install(api: ApiClient) -> None:
    (pinned,) = re.findall(r"features/\?version=(\S+)'", README)
    assert api.get(f"{url_of('anna')}?version={pinned}").status_code == 200
