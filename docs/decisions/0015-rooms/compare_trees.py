"""Compare the functions of two commits, without docstrings and imports, after the map of names is applied.

    python docs/decisions/0015-rooms/compare_trees.py BASE [--list]

Every function that differs, is gone or is new needs a reason in differences.toml; exit status 1 where one has none.
Names are resolved to the modules they come from, so that `store.key_of(…)` and `key_of(…)` are the same call.
"""

import argparse
import ast
import copy
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from fnmatch import fnmatch
from pathlib import Path

from rename import Map, Scopes, rewrite, top_level_names

HERE = Path(__file__).resolve().parent
PACKAGES = ("featurehub", "events", "features")


def sources(commit: str) -> dict[str, str]:
    """Return path → source of the packages' modules at a commit, migrations left out."""
    command = ["git", "ls-tree", "-r", "--name-only", commit, *PACKAGES]
    paths = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    wanted = [path for path in paths if path.endswith(".py") and "/migrations/" not in path]
    return {
        path: subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, text=True, check=True).stdout
        for path in wanted
    }


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Canonical(ast.NodeTransformer):
    """Replace names by the dotted names they stand for, and drop docstrings and annotations of locals."""

    def __init__(self, names: dict[str, str], globals_: set[int]) -> None:
        self.names, self.globals = names, globals_

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if id(node) in self.globals and node.id in self.names:
            return ast.copy_location(ast.Name(self.names[node.id], node.ctx), node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        value = self.visit(node.value)
        if isinstance(value, ast.Name) and value.id.split(".")[0] in PACKAGES and "." in value.id:
            return ast.Name(f"{value.id}.{node.attr}", node.ctx)
        node.value = value
        return node


def without_docstring(node: ast.AST) -> ast.AST:
    for part in ast.walk(node):
        if (
            isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(part) is not None
        ):
            part.body = part.body[1:] or [ast.Pass()]
    return node


def functions(module: str, source: str, place) -> dict[str, tuple[str, str]]:
    """Return dotted name → (tree, tree without the texts of strings) of each function and method."""
    tree = ast.parse(source)
    names = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        names |= {name: place(module, name) for name in top_level_names(node)}
    scopes = Scopes()
    scopes.visit(tree)
    canonical = Canonical(names, {id(node) for node in scopes.globals})
    found = {}

    def add(node: ast.AST, name: str) -> None:
        tidy = without_docstring(canonical.visit(node))
        tidy.name = ""
        text = ast.dump(tidy)
        blank = copy.deepcopy(tidy)
        for part in ast.walk(blank):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                part.value = ""
        found[name] = (text, ast.dump(blank))

    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            add(node, place(module, node.name))
        elif isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                    add(part, f"{place(module, node.name)}.{part.name}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("--list", action="store_true", help="also list the functions that have a reason")
    options = parser.parse_args()
    names = Map(HERE / "names.toml")
    reasons = tomllib.loads((HERE / "differences.toml").read_text())["reasons"]
    old: dict[str, tuple[str, str]] = {}
    for path, source in sources(options.base).items():
        module = module_of(path)

        def place(module: str, name: str) -> str:
            return ".".join(names.symbol(module, name))

        renamed = rewrite(source, names, own=module)
        # The file's own names have been renamed; their place is looked up by the old ones.
        back = {
            names.symbol(module, old_name)[1]: old_name
            for node in ast.parse(source).body
            for old_name in top_level_names(node)
        }
        old |= functions(module, renamed, lambda module, name: place(module, back.get(name, name)))
    new: dict[str, tuple[str, str]] = {}
    for path, source in sources("HEAD").items():
        new |= functions(module_of(path), source, lambda module, name: f"{module}.{name}")
    differ = {
        **{name: "texts differ" if old[name][1] == new[name][1] else "differs" for name in old.keys() & new.keys()
           if old[name][0] != new[name][0]},
        **dict.fromkeys(old.keys() - new.keys(), "gone"),
        **dict.fromkeys(new.keys() - old.keys(), "new"),
    }  # fmt: skip
    unexplained, by_reason = [], defaultdict(list)
    for name, how in sorted(differ.items()):
        reason = next((reason for pattern, reason in reasons.items() if fnmatch(name, pattern)), None)
        if reason is None and how == "texts differ":
            reason = "Only texts differ: plain English for those who read them."
        (unexplained if reason is None else by_reason[reason]).append(f"{name} ({how})")
    same = len(old.keys() & new.keys()) - sum(how in ("differs", "texts differ") for how in differ.values())
    print(f"{same} functions are the same; {dict(Counter(differ.values()))}")
    for reason, listed in by_reason.items():
        print(f"{len(listed):4} {reason}")
        if options.list:
            print("".join(f"       {name}\n" for name in listed), end="")
    for name in unexplained:
        print(f"WITHOUT A REASON: {name}")
    return bool(unexplained)


if __name__ == "__main__":
    sys.exit(main())
