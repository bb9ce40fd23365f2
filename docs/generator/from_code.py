"""Pages of the reference that are read from the code: settings, metrics and commands."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from docs.generator.tables import in_cell

PACKAGES = ("featurehub", "events", "features")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
KINDS = {"gauge", "counter", "histogram", "summary"}
SETTINGS = """# Settings

Environment variables, as the code reads them. An unset and an empty one mean the same; a wrong value stops the start
with one sentence that names the variable and what it must be. `make run` sets those that are required. The
[contract](../contract.md#2-settings) has them by subject.

| variable | default | must be | is |
|---|---|---|---|"""
METRICS = """# Metrics

What `/metrics` has for Prometheus, as the code makes it. When to be alarmed, and what to do then:
[monitoring](../operations.md#monitoring).

| metric | kind | labels | is |
|---|---|---|---|"""
COMMANDS = """# Commands

The commands of `.venv/bin/python manage.py`, with the options that they have beside Django's usual ones. Exit statuses,
and the targets of `make`: [contract](../contract.md#1-commands).
"""


class Setting(NamedTuple):
    name: str
    must_be: str
    default: str


class MetricLine(NamedTuple):
    name: str
    kind: str
    labels: str
    text: str


Constants = Mapping[str, Any]


def calls(project: Path) -> Iterator[tuple[str, ast.Call, Constants]]:
    """Yield each call of a function or class with its name, and with the constants of its module and function.

    A text that the call takes may stand in one of them.
    """
    for package in PACKAGES:
        for path in sorted((project / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from calls_in(tree, constants_of(tree))


def calls_in(scope: ast.AST, constants: Constants) -> Iterator[tuple[str, ast.Call, Constants]]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node, constants
        yield from calls_in(node, {**constants, **constants_of(node)} if isinstance(node, FUNCTIONS) else constants)


def constants_of(scope: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) -> Constants:
    """Return the constants that the statements of a module or function give to names."""
    return {
        target.id: node.value.value
        for node in scope.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


# --- Settings -----------------------------------------------------------------------------------------------------


def settings_of(project: Path) -> list[Setting]:
    """Return every environment variable that is read by `read_setting`, by name."""
    found = {}
    for name, call, constants in calls(project):
        if name == "read_setting" and call.args and isinstance(call.args[0], ast.Constant):
            parts = {part.arg: text_of(part.value, constants) for part in call.keywords}
            variable = str(call.args[0].value)
            found[variable] = Setting(
                name=variable, must_be=parts["expected"], default=shown_default(parts.get("default"))
            )
    return [found[name] for name in sorted(found)]


def text_of(node: ast.expr, names: Constants) -> str:
    """Return a text of the code, with the constants that it is made of; other expressions as they are written."""
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.Name(id=name) if name in names:
            return str(names[name])
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part, names) for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name)):
            return str(names.get(name, name))
        case _:
            return f"`{ast.unparse(node)}`"


def shown_default(default: str | None) -> str:
    if default is None:
        return "none: required"
    return "empty" if not default else default if default.startswith("`") else f"`{default}`"


def settings_page(project: Path, *, contract: str) -> str:
    """Return the page; what each variable is stands in the contract, which a test holds to the code."""
    meanings = dict(re.findall(r"^\| `([A-Z_]+)` \| [^|]* \| (.*) \|$", contract, re.MULTILINE))
    rows = [
        f"| `{name}` | {default} | {must_be} | {in_reference(meanings.get(name, ''))} |"
        for name, must_be, default in settings_of(project)
    ]
    return "\n".join([SETTINGS, *rows, ""])


def in_reference(text: str) -> str:
    """Return the text with its links to pages of docs/ as they are from docs/reference/."""
    return re.sub(r"\]\((?!https?:|\.\./)", "](../", text)


# --- Metrics ------------------------------------------------------------------------------------------------------


def metrics_of(project: Path) -> list[MetricLine]:
    """Return each metric that the code makes with a name and a text, by name."""
    found = {}
    for name, call, constants in calls(project):
        kind = name.removesuffix("MetricFamily").lower()
        if kind in KINDS and len(call.args) > 1 and isinstance(call.args[0], ast.Constant):
            metric, text = (text_of(arg, constants) for arg in call.args[:2])
            line = MetricLine(full_name(metric, kind=kind), kind, ", ".join(labels_of(call)), text)
            found[line.name] = line
    return [found[name] for name in sorted(found)]


def full_name(name: str, *, kind: str) -> str:
    name = name if name.startswith("featurehub_") else f"featurehub_{name}"
    return f"{name.removesuffix('_total')}_total" if kind == "counter" else name


def labels_of(call: ast.Call) -> list[str]:
    given = [part.value for part in call.keywords if part.arg in ("labels", "labelnames")] + call.args[2:]
    lists = [node for node in given if isinstance(node, ast.List | ast.Tuple)]
    return [item.value for node in lists for item in node.elts if isinstance(item, ast.Constant)]


def metrics_page(project: Path) -> str:
    rows = [f"| `{name}` | {kind} | {labels} | {text} |" for name, kind, labels, text in metrics_of(project)]
    return "\n".join([METRICS, *rows, ""])


# --- Commands -----------------------------------------------------------------------------------------------------


def commands_page(described: list[dict[str, Any]]) -> str:
    """Return the page of the commands that `docs.generator.commands` describes."""
    parts = [COMMANDS]
    for command in described:
        text = " ".join(command["help"].split())
        parts += [f"## {command['name']}", "", text, "", "```text", command["usage"], "```", ""]
        if command["arguments"]:
            parts += ["| argument | is |", "|---|---|"]
            parts += [f"| `{in_cell(form)}` | {in_cell(text)} |" for form, text in command["arguments"]]
            parts.append("")
    return "\n".join(parts)
