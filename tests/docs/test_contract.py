"""The tables of docs/contract.md match the code: a deviation in either direction fails."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.urls import URLPattern, URLResolver, get_resolver

from featurehub.http.view import ApiView

PROJECT = Path(__file__).resolve().parents[2]
CONTRACT = (PROJECT / "docs/contract.md").read_text()
APPS = ("featurehub.access", "events", "features")
PARAMETER = re.compile(r"<\w+:(\w+)>")
OPTION = re.compile(r"--[a-z][a-z-]*")


def rows_of(column: str) -> list[list[str]]:
    """Return the cells of each row of the table whose first column has this title."""
    table = re.search(rf"^\| {column} \|.*\n\|[-|]+\n((?:\|.*\n)+)", CONTRACT, re.MULTILINE)
    assert table is not None, f"docs/contract.md has no table that begins with {column}"
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table[1].splitlines()]


def code_in(cell: str) -> str:
    """Return the text of a cell that is one span of code."""
    span = re.fullmatch(r"`([^`]+)`", cell)
    assert span is not None, f"{cell} is not one span of code"
    return span[1]


def endpoints(patterns: list[URLPattern | URLResolver], *, prefix: str = "/") -> Iterator[tuple[str, str]]:
    """Yield ("METHOD /path/", scope) of every URL of the project; pages take GET and no scope."""
    for pattern in patterns:
        path = prefix + PARAMETER.sub(r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "view_class", None)
            is_api = isinstance(view, type) and issubclass(view, ApiView)
            scopes = view.scopes if is_api else {"GET": "–"}
            yield from ((f"{method} {path}", str(scope)) for method, scope in scopes.items())
        elif pattern.app_name:  # one row stands for the admin's many pages
            yield f"GET {path}", "–"
        else:
            yield from endpoints(pattern.url_patterns, prefix=path)


def test_the_endpoints_are_those_of_the_url_patterns_with_their_methods_and_scopes() -> None:
    documented = sorted((code_in(call), scope) for call, scope, _ in rows_of("call"))
    assert documented == sorted(endpoints(get_resolver().url_patterns))


def settings_read() -> Iterator[tuple[str, str | None]]:
    """Yield the name of every environment variable that is read by `read_setting`, and its default.

    The default is None where the variable is required, and the source of the expression where it is no literal.
    """
    for path in sorted((PROJECT / "featurehub").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "read_setting":
                name = ast.literal_eval(node.args[0])
                default = next((part.value for part in node.keywords if part.arg == "default"), None)
                is_literal = default is None or isinstance(default, ast.Constant)
                yield name, default.value if is_literal and default else default and ast.unparse(default)


def test_the_settings_are_those_that_are_read_from_the_environment_with_their_defaults() -> None:
    documented = {code_in(name): default.strip("`") for name, default, _ in rows_of("variable")}
    shown = {None: "required", "": "empty"}
    read = {name: shown.get(default, default) for name, default in settings_read()}
    assert documented == read | {"FEATUREHUB_ADMIN_PASSWORD": "random"}  # an empty one stands for a random one


def options_of(command: BaseCommand) -> set[str]:
    """Return the options that the command adds to those of every command, or has in place of them."""
    every = BaseCommand().create_parser("manage.py", "any")._option_string_actions
    own = command.create_parser("manage.py", "any")._option_string_actions
    return {name for name, action in own.items() if name.startswith("--") and type(action) is not type(every.get(name))}


def test_the_manage_py_commands_are_those_of_the_project_with_their_options() -> None:
    documented = {}
    for cell, _ in rows_of("command"):
        usage = code_in(cell)
        documented[usage.split()[0]] = set(OPTION.findall(usage))
    commands = {
        name: options_of(load_command_class(app, name))
        for name, app in get_commands().items()
        if isinstance(app, str) and app in APPS
    }
    assert documented == commands


def test_every_make_target_of_the_contract_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    documented = {code_in(cell).removeprefix("make ") for cell, _ in rows_of("target")}
    assert sorted(documented - targets) == []
