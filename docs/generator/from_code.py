"""Pages of the reference that are read from the code: settings, metrics and commands."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES = ("featurehub", "events", "features")
KINDS = {"gauge": "gauge", "counter": "counter", "histogram": "histogram", "summary": "summary"}
MADE = "<!-- Made by docs/generator. -->\n"


class Setting(NamedTuple):
    name: str
    must_be: str
    default: str


class MetricLine(NamedTuple):
    name: str
    kind: str
    labels: str
    text: str


def modules(project: Path) -> Iterator[ast.Module]:
    for package in PACKAGES:
        for path in sorted((project / package).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a function or class with its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node


# --- Settings -----------------------------------------------------------------------------------------------------


def settings_of(project: Path) -> list[Setting]:
    """Return every environment variable that is read by `read_setting`, by name."""
    found = {}
    for tree in modules(project):
        texts = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        # Within a function `expected` is a name: take the assignment next to the call.
        for scope in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]:
            near = texts | {
                node.targets[0].id: node.value.value
                for node in ast.walk(scope)
                if isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and isinstance(node.value, ast.Constant)
            }
            for name, call in calls(scope):
                if name == "read_setting" and call.args and isinstance(call.args[0], ast.Constant):
                    parts = {part.arg: text_of(part.value, near) for part in call.keywords}
                    default = parts.get("default")
                    variable = call.args[0].value
                    found[variable] = Setting(variable, parts.get("expected") or "", shown_default(default))
    return [found[name] for name in sorted(found)]


def text_of(node: ast.expr, names: dict[str, Any]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name) and isinstance(names.get(node.id), str):
        return str(names[node.id])
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
    return "\n".join(
        [
            "# Settings",
            MADE,
            "Environment variables, as the code reads them. An unset and an empty one mean the same; a wrong value stops the",
            "start with one sentence that names the variable and what it must be. How they belong together stands in the",
            "[contract](../contract.md#2-settings).",
            "",
            "| variable | default | must be | is |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def in_reference(text: str) -> str:
    """Return the text with its links to pages of docs/ as they are from docs/reference/."""
    return re.sub(r"\]\((?!https?:|\.\./)", "](../", text)


# --- Metrics ------------------------------------------------------------------------------------------------------


def metrics_of(project: Path) -> list[MetricLine]:
    """Return each metric that the code makes with a name and a text, by name."""
    found = {}
    for tree in modules(project):
        for name, call in calls(tree):
            kind = KINDS.get(name.removesuffix("MetricFamily").lower())
            texts = [arg.value for arg in call.args[:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if kind and len(texts) == 2:
                line = MetricLine(full_name(texts[0], kind=kind), kind, ", ".join(labels_of(call)), texts[1])
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
    return "\n".join(
        [
            "# Metrics",
            MADE,
            "What `/metrics` has for Prometheus, as the code makes it. When to be alarmed by which, and what to do then:",
            "[monitoring](../operations.md#monitoring).",
            "",
            "| metric | kind | labels | is |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


# --- Commands -----------------------------------------------------------------------------------------------------


def commands_page(described: list[dict[str, Any]]) -> str:
    """Return the page of the commands that `docs.generator.commands` describes."""
    parts = [
        "# Commands",
        MADE,
        "The commands of `.venv/bin/python manage.py`, with the options that they have beside Django's usual ones, as",
        "`--help` prints them. Exit statuses, and the targets of `make`: [contract](../contract.md#1-commands).",
        "",
    ]
    for command in described:
        parts += [f"## {command['name']}", "", one_line(command["help"]), "", "```text", command["usage"], "```", ""]
        if command["arguments"]:
            parts += ["| argument | is |", "|---|---|"]
            parts += [f"| `{in_cell(form)}` | {in_cell(one_line(text))} |" for form, text in command["arguments"]]
            parts.append("")
    return "\n".join(parts)


def one_line(text: str) -> str:
    return " ".join(text.split())


def in_cell(text: str) -> str:
    return text.replace("|", "&#124;") if "`" in text else text.replace("|", " or ")
