"""Apply a map of old names to new names to Python source, by its syntax tree."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Map:
    """The map of names: dotted paths of modules and of the names in them, old → new; texts and parts of files."""

    def __init__(self, path: Path) -> None:
        data = tomllib.loads(path.read_text())
        self.modules: dict[str, str] = data["modules"]  # an empty new path: divided among several modules
        self.symbols: dict[str, str] = data["symbols"]
        self.texts: dict[str, str] = data["texts"]
        self.files: dict[str, list[list[str]]] = data["files"]
        self.dotted = {old: new for old, new in (self.modules | self.symbols).items() if new}
        alternatives = "|".join(map(re.escape, sorted(self.dotted, key=len, reverse=True)))
        self.dotted_pattern = re.compile(rf"(?<![\w.])({alternatives})(?!\w)")

    def module(self, path: str) -> str:
        """Return the new path of a module; empty where it was divided."""
        return self.modules.get(path, path)

    def symbol(self, module: str, name: str) -> tuple[str, str]:
        """Return the new module, which may be empty, and the new name of a name in an old module."""
        new = self.symbols.get(f"{module}.{name}")
        if new is None:
            return self.module(module), name
        return tuple(new.rsplit(".", 1)) if new else ("", name)


class Scopes(ast.NodeVisitor):
    """Collect the Name nodes that stand for names at the top of the file, not for those of a function or class."""

    def __init__(self) -> None:
        self.local: list[set[str]] = []
        self.globals: list[ast.Name] = []

    def visit_in(self, names: set[str], nodes: list[ast.AST]) -> None:
        """Visit the nodes in a scope that binds these names."""
        self.local.append(names)
        for node in nodes:
            self.visit(node)
        self.local.pop()

    def visit_all(self, nodes: list[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        arguments = arguments_of(node.args)
        annotations = [argument.annotation for argument in arguments if argument.annotation]
        self.visit_all([*node.decorator_list, *defaults_of(node.args), *annotations])
        if node.returns:
            self.visit(node.returns)
        names = {argument.arg for argument in arguments} | bound_in(node.body)
        names -= {name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names}
        self.visit_in(names, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
        names = bound_in(node.body)
        for part in node.body:  # methods do not see the names of their class
            is_method = isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            self.visit(part) if is_method else self.visit_in(names, [part])

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_all(defaults_of(node.args))
        self.visit_in({argument.arg for argument in arguments_of(node.args)}, [node.body])

    def visit_comprehension_scope(self, node: ast.ListComp | ast.DictComp) -> None:
        first, *others = node.generators
        targets = {part.id for one in node.generators for part in ast.walk(one.target) if isinstance(part, ast.Name)}
        self.visit(first.iter)  # outside of the scope
        results = [getattr(node, part) for part in ("elt", "key", "value") if hasattr(node, part)]
        conditions = [condition for one in node.generators for condition in one.ifs]
        self.visit_in(targets, [*(one.iter for one in others), *conditions, *results])

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_scope

    def visit_Name(self, node: ast.Name) -> None:
        if not any(node.id in names for names in self.local):
            self.globals.append(node)


def arguments_of(arguments: ast.arguments) -> list[ast.arg]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [argument for argument in every if argument]


def defaults_of(arguments: ast.arguments) -> list[ast.expr]:
    return [default for default in (*arguments.defaults, *arguments.kw_defaults) if default]


def bound_in(body: list[ast.stmt]) -> set[str]:
    """Return the names that the statements of a scope bind, those of nested scopes left out."""
    names = set()
    nodes: list[ast.AST] = list(body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, Definition):
            names.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        if isinstance(node, ast.ExceptHandler | ast.MatchAs) and node.name:
            names.add(node.name)
        nodes += ast.iter_child_nodes(node)
    return names


class Renaming:
    """The renaming of one file: edits are collected from its tree and applied to its bytes at the end.

    `own` is the old dotted path of the file. `modules` maps a local name to the old path of the module that it is, and
    `locals` maps a local name to the new one. `missing` are the imports that the new names need.
    """

    def __init__(self, source: str, names: Map, own: str) -> None:
        self.names, self.own, self.source = names, own, source.encode()
        self.tree = ast.parse(source)
        self.nodes = list(ast.walk(self.tree))
        lengths = [len(line) for line in self.source.splitlines(keepends=True)]
        self.starts = [sum(lengths[:line]) for line in range(len(lengths) + 1)]
        scopes = Scopes()
        scopes.visit(self.tree)
        self.globals = {id(node) for node in scopes.globals}
        self.definitions = {node.name for node in self.nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        self.identifiers = {node.id for node in self.nodes if isinstance(node, ast.Name)} | {
            argument.arg
            for node in self.nodes
            if isinstance(node, ast.arguments)
            for argument in [*node.args, *node.kwonlyargs]
        }
        self.edits: set[tuple[int, int, str]] = set()
        self.missing: set[tuple[str, str]] = set()
        self.replaced: set[int] = set()
        self.modules: dict[str, str] = {}
        self.locals: dict[str, str | None] = {}

    def result(self) -> str:
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                self.rename_import(node)
        self.rename_definitions()
        for node in self.nodes:
            if isinstance(node, ast.Call):
                self.rename_patched(node)
            elif isinstance(node, ast.Attribute):
                self.rename_attribute(node)
        for node in self.nodes:
            if isinstance(node, ast.Name):
                self.rename_name(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.rename_in_text(node)
        return self.with_imports(self.edited())

    # --- Edits --------------------------------------------------------------------------------------------------------

    def span(self, node: ast.AST) -> tuple[int, int]:
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def replace(self, node: ast.AST, text: str) -> None:
        self.edits.add((*self.span(node), text))

    def edited(self) -> str:
        """Return the source after the edits; of two that overlap, the first counts."""
        source, end, parts = self.source, 0, []
        for start, stop, text in sorted(self.edits):
            if start >= end:
                parts += [source[end:start], text.encode()]
                end = stop
        return b"".join([*parts, source[end:]]).decode()

    def with_imports(self, source: str) -> str:
        """Return the source with the missing imports before its first one."""
        imports = [f"from {module} import {name}\n" for module, name in sorted(self.missing)]
        body = ast.parse(source).body
        first = next((node.lineno - 1 for node in body if isinstance(node, ast.Import | ast.ImportFrom)), None)
        if first is None:
            first = 1 if ast.get_docstring(self.tree) else 0
        lines = source.splitlines(keepends=True)
        return "".join([*lines[:first], *imports, *lines[first:]])

    # --- What is renamed ----------------------------------------------------------------------------------------------

    def rename_import(self, node: ast.ImportFrom) -> None:
        imports = [(alias, self.new_import(node.module, alias)) for alias in node.names]
        if any(new != (node.module, alias.name, alias.asname) for alias, new in imports):
            lines = [f"from {new[0]} import {new[1]}{f' as {new[2]}' if new[2] else ''}" for _, new in imports if new]
            self.replace(node, "\n".join(lines))

    def new_import(self, module: str, alias: ast.alias) -> tuple[str, str, str | None] | None:
        """Return module, name and `as` of an import, None where it goes; note what its local name stands for."""
        full, local = f"{module}.{alias.name}", alias.asname or alias.name
        if full in self.names.modules:
            self.modules[local] = full
            self.locals[local] = None
            if not (new := self.names.module(full)):
                return None
            package, _, name = new.rpartition(".")
            asname = alias.asname or (local if name in self.definitions and name != local else None)
            self.locals[local] = asname or name
            return package, name, asname
        if full in self.names.symbols or module in self.names.modules:
            new_module, name = self.names.symbol(module, alias.name)
            if not new_module and full not in self.names.symbols:
                raise ValueError(f"no new place for {full}")
            if not new_module:
                return None
            self.locals[local] = name if alias.asname is None else alias.asname
            return new_module, name, alias.asname
        self.modules.setdefault(local, full)
        self.locals.setdefault(local, local)
        return module, alias.name, alias.asname

    def rename_definitions(self) -> None:
        """Rename the names that the file itself defines."""
        for node in self.tree.body:
            for name in top_level_names(node):
                new = self.names.symbol(self.own, name)[1]
                if new != name:
                    self.locals.setdefault(name, new)
                    if isinstance(node, Definition):
                        start = self.source.index(name.encode(), self.span(node)[0])
                        self.edits.add((start, start + len(name), new))

    def rename_patched(self, node: ast.Call) -> None:
        """Rename `monkeypatch.setattr(module, "name", …)`."""
        if not (isinstance(node.func, ast.Attribute) and node.func.attr == "setattr" and len(node.args) > 1):
            return
        target, text = node.args[:2]
        if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
            return
        if (old := self.module_that_is(target)) is None:
            return
        module, name = self.names.symbol(old, text.value)
        has_moved = module != self.names.module(old)
        if not module or not (has_moved or name != text.value):
            return
        package, _, last = module.rpartition(".")
        if has_moved:
            self.missing.add((package, last))
        self.replace(target, last if has_moved else self.locals[target.id])
        self.replace(text, f'"{name}"')
        self.replaced.add(id(target))

    def rename_attribute(self, node: ast.Attribute) -> None:
        """Rename `module.name`."""
        if (old := self.module_that_is(node.value)) is None:
            return
        if (submodule := self.names.modules.get(f"{old}.{node.attr}")) is not None:
            package, _, last = submodule.rpartition(".")
            self.missing.add((package, last))
            self.replace(node, last)
            self.replaced.add(id(node.value))
            return
        module, name = self.names.symbol(old, node.attr)
        local = self.locals[node.value.id]
        if module == self.names.module(old) and local:
            if name != node.attr:
                end = self.span(node)[1]
                self.edits.add((end - len(node.attr.encode()), end, name))
        elif module:
            self.replace(node, self.imported(module, name, local=local))
            self.replaced.add(id(node.value))
        else:
            raise ValueError(f"no new place for {old}.{node.attr}")

    def imported(self, module: str, name: str, *, local: str | None) -> str:
        """Return how a name of a module is written here, and add the import that this needs."""
        package, _, last = module.rpartition(".")
        if name in self.definitions or last in self.definitions:
            self.missing.add((module, f"{name} as {name}_moved"))
            return f"{name}_moved"
        if last in self.identifiers and last != local:
            self.missing.add((module, name))
            return name
        self.missing.add((package, last))
        return f"{last}.{name}"

    def rename_name(self, node: ast.Name) -> None:
        new = self.locals.get(node.id)
        if id(node) in self.globals and id(node) not in self.replaced and new and new != node.id:
            self.replace(node, new)

    def rename_in_text(self, node: ast.Constant) -> None:
        """Rename the dotted paths in a string."""
        start, end = self.span(node)
        text = self.source[start:end].decode()
        new = self.names.dotted_pattern.sub(lambda match: self.names.dotted[match[1]], text)
        if new != text:
            self.replace(node, new)

    def module_that_is(self, node: ast.AST) -> str | None:
        """Return the old path of the module that a name stands for."""
        is_global = isinstance(node, ast.Name) and id(node) in self.globals
        return self.modules.get(node.id) if is_global else None


def top_level_names(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement at the top of a file defines."""
    if isinstance(node, Definition):
        yield node.name
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def rewrite(source: str, names: Map, *, own: str) -> str:
    """Return the source with new names; `own` is the old dotted path of the file."""
    return Renaming(source, names, own).result()
