"""The commands, buttons and versions that README and the pages it leads to name exist."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.api_client import ApiClient
from tests.factories import url_of

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text()
PRODUCTION = (PROJECT / "docs/production.md").read_text()
TUNING = (PROJECT / "docs/tuning.md").read_text()
PAGES = [README, *(path.read_text() for path in (PROJECT / "docs").glob("*.md"))]
LONGEST_README = 110


def test_the_readme_is_short_and_leads_to_pages() -> None:
    assert len(README.splitlines()) < LONGEST_README
    assert len(set(re.findall(r"\]\((docs/[\w-]+\.md)\)", README))) > 15


def test_the_steps_for_production_name_commands_that_exist() -> None:
    steps = re.findall(r"^\$ python manage\.py (\w+)", PRODUCTION, re.MULTILINE)
    assert {"check", "migrate", "collectstatic", "create_api_key"} <= set(steps) <= set(get_commands())


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z][a-z-]+)`|^\$ make ([a-z-]+)", page, re.MULTILINE)) <= {
            pair for target in targets for pair in ((target, ""), ("", target))
        }


def test_commands_are_typed_as_they_work_without_an_active_environment() -> None:
    assert re.findall(r"(?<![/.\w])python manage\.py", README) == []
    assert PRODUCTION.index('export PATH="$PWD/.venv/bin:$PATH"') < PRODUCTION.index("python manage.py")


def test_the_page_about_tuning_names_buttons_that_there_are() -> None:
    templates = "".join(path.read_text() for path in PROJECT.glob("features/templates/**/*.html"))
    steps = (PROJECT / "features/admin/weights/steps.py").read_text()
    for name in ("Open in the studio", "Try changes in the studio", "Fit weights now"):
        assert name in templates
        assert name in " ".join(TUNING.split())
    assert "Roll back to this set" in steps
    assert "one click" not in TUNING


@pytest.mark.django_db
def test_the_version_that_is_pinned_as_an_example_can_be_read_on_a_fresh_install(api: ApiClient) -> None:
    (pinned,) = re.findall(r"features/\?version=(\S+)'", (PROJECT / "docs/new-features.md").read_text())
    assert api.get(f"{url_of('anna')}?version={pinned}").status_code == 200
