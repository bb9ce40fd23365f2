"""The rules of the house that no linter holds: what stands where, and what things are called."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("featurehub", "events", "features")
MODULES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts
)
# Names that several modules define, and why.
SHARED_NAMES = {
    "Command": "Django finds a management command by it",
    "T": "a type variable",
    "__all__": "Python's",
    "aggregate": "the in-process and the PostgreSQL engine have one interface",
    "logger": "the usual name of a module's logger",
    "register": "Django finds a library of template tags by it",
    "urlpatterns": "Django finds a module's URLs by it",
}
# Modules that only import: they gather what Django or a reader looks for in one place.
GATHERING = {"featurehub/__init__.py", "features/admin/__init__.py", "features/models/__init__.py"}
# Modules and functions that had names of their own; ARCHITECTURE's words stand in their place.
OLD_NAMES = {
    "browsing", "counting", "differences", "garbage", "is_ambiguous", "movement", "publishing", "question",
    "readership", "reading", "recomputation", "restamping", "seen", "trial", "wake", "waking", "words",
}  # fmt: skip
# Functions that write to the admin's log outside of a transaction of their own, and why.
LOGGED_ALONE = {
    "fit": "it stores nothing else",
    "log_all": "its callers are in one",
    "logged_rows": "it stores nothing else",
}
RIDDLES = ("What", "Who", "Whom", "Whether", "Where", "How")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def top_level_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                parts = (part for target in targets for part in ast.walk(target))
                yield from (part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def docstrings(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield node, text


def texts(tree: ast.Module) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    documented = {id(node.body[0].value) for node, _ in docstrings(tree)}  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.value


def test_directly_in_features_stand_three_modules() -> None:
    assert {path.name for path in (ROOT / "features").glob("*.py")} == {"__init__.py", "apps.py", "tasks.py"}


def test_every_room_says_in_a_sentence_what_it_holds() -> None:
    rooms = [path for path in MODULES if path.name == "__init__.py" and path.parent.name not in ("commands", "en")]
    silent = [name_of(path) for path in rooms if not ast.get_docstring(parsed(path))]
    silent = [name for name in silent if not name.endswith(("management/__init__.py", "templatetags/__init__.py"))]
    assert silent == []


def test_a_top_level_name_is_defined_once() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for name in set(top_level_names(parsed(path))):
            places[name].append(name_of(path))
    assert {name: where for name, where in places.items() if len(where) > 1 and name not in SHARED_NAMES} == {}
    assert [name for name in SHARED_NAMES if len(places[name]) < 2] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_only_hands_on_what_another_defines(path: Path) -> None:
    tree = parsed(path)
    statements = [node for node in tree.body if not isinstance(node, ast.Expr)]
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not statements or len(imports) < len(statements) or name_of(path) in GATHERING


def test_keys_and_fields_of_redis_are_written_in_the_layout_only() -> None:
    written = {
        name_of(path)
        for path in MODULES
        for text in texts(parsed(path))
        if "customer_features:" in text or text in (":metadata", ":base")
    }
    assert written == {"features/online/layout.py"}


def test_old_names_are_gone() -> None:
    defined = {name for path in MODULES for name in {path.stem, *top_level_names(parsed(path))}}
    assert defined & OLD_NAMES == set()


def test_what_is_logged_in_the_admin_is_in_one_transaction_with_its_entry() -> None:
    logging = re.compile(r"\.(log_change|log_addition|log_actions)\(|\bLogEntry\.objects\.create\(")
    functions = [node for path in MODULES for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef)]
    logged = {node.name: ast.unparse(node) for node in functions if logging.search(ast.unparse(node))}
    assert {name for name, text in logged.items() if "transaction.atomic" not in text} == set(LOGGED_ALONE)


def test_no_docstring_is_a_riddle() -> None:
    found = [
        f"{name_of(path)}: {text.splitlines()[0]}"
        for path in MODULES
        for _, text in docstrings(parsed(path))
        if text.split()[0] in RIDDLES
    ]
    assert found == []
