"""The pages that docs/generator makes have what the code has."""

import json
from pathlib import Path

import pytest
from django.core.management import get_commands

from docs.generator import commands, from_code, from_schema, sources
from features.monitoring.metrics import FeatureStoreCollector
from tests.docs.test_contract import settings_read

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"


def test_the_page_of_settings_has_each_one_with_its_default_and_what_it_is() -> None:
    page = from_code.settings_page(PROJECT, contract=(DOCS / "contract.md").read_text())
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == sorted(name for name, _ in settings_read())
    assert [row for row in rows if len(row) != 4 or not row[2] or not row[3].strip(" |")] == []


@pytest.mark.django_db
def test_the_page_of_metrics_has_each_one_that_is_reported() -> None:
    shown = {line.name: line for line in from_code.metrics_of(PROJECT)}
    for family in FeatureStoreCollector().collect():
        name = from_code.full_name(family.name, kind=family.type)
        assert shown[name].text == family.documentation
        assert shown[name].kind == family.type
    assert "featurehub_rejected_requests_total" in shown


def test_the_page_of_commands_has_each_one_with_its_options() -> None:
    described = commands.described_commands()
    assert [each["name"] for each in described] == sorted(
        name for name, app in get_commands().items() if app in commands.APPS
    )
    by_name = {each["name"]: each for each in described}
    assert "--label LABEL" in dict(by_name["build_training_set"]["arguments"])
    assert "--as-of" in by_name["recompute"]["usage"]
    assert from_code.commands_page(described).count("\n## ") == len(described)


def test_the_page_of_http_has_each_operation_and_each_shape() -> None:
    schema = json.loads((DOCS / "openapi.json").read_text())
    page = from_schema.http_page(schema)
    operations = list(from_schema.operations_of(schema))
    assert len(operations) > 15
    for method, path, operation in operations:
        assert page.count(f"`{method.upper()} {path}`, operation `{operation['operationId']}`") == 1
    for name in schema["components"]["schemas"]:
        assert f"### {name} {{" in page


def test_the_page_of_definition_files_has_each_entry() -> None:
    schema = json.loads((DOCS / "definitions.schema.json").read_text())
    page = from_schema.definitions_page(schema)
    assert page.count("\n## ") == len(schema["$defs"])
    assert "`half_life_days`" in page


def test_links_to_files_outside_of_the_docs_lead_to_pages_of_the_site() -> None:
    made = sources.pages(PROJECT)
    assert "source/features/online/README.md" in made
    assert "from django" in made["source/features/models/versions.py.md"]
    text = "[a](../features/models/versions.py), [b](../Procfile), [c](roles.md#x), [d](../features/online/README.md#y)"
    changed = sources.with_site_links(text, in_repository="docs/glossary.md", project=PROJECT)
    assert changed == (
        "[a](source/features/models/versions.py.md), [b](source/Procfile.md), [c](roles.md#x), "
        "[d](source/features/online/README.md#y)"
    )


def test_a_bar_in_the_code_of_a_table_is_shown_without_its_backslash() -> None:
    assert sources.with_pipes("| `--type a\\|b` | x\\|y |\n`c\\|d`") == (
        "| <code>--type a&#124;b</code> | x\\|y |\n`c\\|d`"
    )


def test_the_site_takes_nothing_from_elsewhere() -> None:
    configuration = (PROJECT / "mkdocs.yml").read_text()
    assert "://" not in configuration.replace("prefers-color-scheme:", "")
    assert "font: false" in configuration
