"""Every promise of docs/promises.md names tests that exist, and commands for their longer form."""

import ast
import re
from pathlib import Path

import pytest
from django.core.management import get_commands

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs/promises.md"
ROWS = [line.strip("|").split(" | ") for line in PAGE.read_text().splitlines()[8:] if line.startswith("|")]
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (PROJECT / "Makefile").read_text(), re.MULTILINE))


def names_of_tests(place: Path) -> list[str]:
    """Return the names of the tests in a file, or in a folder of them."""
    files = place.rglob("test_*.py") if place.is_dir() else [place]
    trees = [ast.parse(file.read_text()) for file in files]
    return [node.name for tree in trees for node in ast.walk(tree) if is_test(node)]


def is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def test_there_are_promises() -> None:
    assert len(ROWS) > 25
    assert {len(row) for row in ROWS} == {3}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_each_names_tests_that_are_run(row: list[str]) -> None:
    links = re.findall(r"\]\(([^)]+)\)", row[1])
    assert links
    for link in links:
        place = (PAGE.parent / link).resolve()
        assert place.is_relative_to(PROJECT / "tests")
        assert names_of_tests(place), link


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_each_longer_form_is_a_command_that_exists(row: list[str]) -> None:
    for command in re.findall(r"`([^`]+)`", row[2]):
        made = re.search(r"\bmake ([a-z-]+)", command)
        managed = re.match(r"manage\.py (\w+)", command)
        assert made or managed, command
        assert made is None or made[1] in TARGETS
        assert managed is None or managed[1] in get_commands()
        for argument in re.findall(r"ARGS=(\S+)", command):
            assert (PROJECT / argument).exists()
