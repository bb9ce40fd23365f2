"""Apply a map of old names to new names to Python files, by their syntax trees."""

import ast
import re
import sys
import tomllib
from pathlib import Path


class Map:
    def __init__(self, *paths):
        self.modules, self.symbols, self.identifiers, self.texts, self.files = {}, {}, {}, {}, {}
        for path in paths:
            data = tomllib.loads(Path(path).read_text())
            for part in ("modules", "symbols", "identifiers", "texts", "files"):
                getattr(self, part).update(data.get(part, {}))
        self.dotted = {**self.modules, **self.symbols}
        keys = sorted((k for k, v in self.dotted.items() if v), key=len, reverse=True)
        self.dotted_re = re.compile(r"(?<![\w.])(" + "|".join(map(re.escape, keys)) + r")(?!\w)") if keys else None
        # a dotted path whose module moved: module.prefix followed by .symbol

    def module(self, name):
        """New path of a module; '' where it was split up."""
        return self.modules.get(name, name)

    def is_module(self, name):
        return name in self.modules

    def symbol(self, module, name):
        """New (module, name) of a name in an old module."""
        full = f"{module}.{name}"
        if full in self.symbols:
            new = self.symbols[full]
            return tuple(new.rsplit(".", 1)) if new else ("", name)
        return self.module(module), name


class Scopes(ast.NodeVisitor):
    """Which Name nodes are bound in a function, not at the top of the file."""

    def __init__(self):
        self.local = []
        self.globals = []  # (Name node)

    def bound(self, node):
        names = set()

        class B(ast.NodeVisitor):
            def visit_FunctionDef(s, n):
                names.add(n.name)

            visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

            def visit_Lambda(s, n):
                pass

            def visit_Name(s, n):
                if isinstance(n.ctx, (ast.Store, ast.Del)):
                    names.add(n.id)

            def visit_ExceptHandler(s, n):
                if n.name:
                    names.add(n.name)
                s.generic_visit(n)

            def visit_ListComp(s, n):  # own scope but the first iterable; treat targets as local everywhere
                s.generic_visit(n)

            def visit_MatchAs(s, n):
                if n.name:
                    names.add(n.name)
                s.generic_visit(n)

            def visit_Global(s, n):
                pass

        b = B()
        for child in ast.iter_child_nodes(node):
            b.visit(child)
        return names

    def args(self, a):
        return {
            x.arg
            for x in [
                *a.posonlyargs,
                *a.args,
                *a.kwonlyargs,
                *([a.vararg] if a.vararg else []),
                *([a.kwarg] if a.kwarg else []),
            ]
        }

    def visit_FunctionDef(self, n):
        for d in n.decorator_list:
            self.visit(d)
        for d in [*n.args.defaults, *[x for x in n.args.kw_defaults if x]]:
            self.visit(d)
        for x in [
            *n.args.posonlyargs,
            *n.args.args,
            *n.args.kwonlyargs,
            *([n.args.vararg] if n.args.vararg else []),
            *([n.args.kwarg] if n.args.kwarg else []),
        ]:
            if x.annotation:
                self.visit(x.annotation)
        if n.returns:
            self.visit(n.returns)
        names = self.args(n.args)
        for c in n.body:
            names |= self.bound(ast.Module([c], []))
        globs = {g for c in ast.walk(n) if isinstance(c, ast.Global) for g in c.names}
        self.local.append(names - globs)
        for c in n.body:
            self.visit(c)
        self.local.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, n):
        for d in [*n.decorator_list, *n.bases, *[k.value for k in n.keywords]]:
            self.visit(d)
        names = self.bound(ast.Module(n.body, []))
        for c in n.body:
            if isinstance(c, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.visit(c)
            else:
                self.local.append(names)
                self.visit(c)
                self.local.pop()

    def visit_Lambda(self, n):
        for d in [*n.args.defaults, *[x for x in n.args.kw_defaults if x]]:
            self.visit(d)
        self.local.append(self.args(n.args))
        self.visit(n.body)
        self.local.pop()

    def comp(self, n):
        names = {x.id for g in n.generators for x in ast.walk(g.target) if isinstance(x, ast.Name)}
        # first iterable is evaluated outside
        self.visit(n.generators[0].iter)
        self.local.append(names)
        for i, g in enumerate(n.generators):
            if i:
                self.visit(g.iter)
            for c in g.ifs:
                self.visit(c)
        for part in ("elt", "key", "value"):
            if hasattr(n, part):
                self.visit(getattr(n, part))
        self.local.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comp

    def visit_Name(self, n):
        if not any(n.id in names for names in self.local):
            self.globals.append(n)


def rewrite(source, names, *, own=None):
    """The source with new names; `own` is the old dotted path of the file where it is a module of the map."""
    tree = ast.parse(source)
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    raw = source.encode()
    pos = lambda line, col: starts[line - 1] + col
    edits, extra = [], set()
    aliases = {}  # local name → ("module", old path, new local) or ("symbol", new local)
    tops = {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    taken = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {
        a.arg for n in ast.walk(tree) if isinstance(n, ast.arguments) for a in [*n.args, *n.kwonlyargs]
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            out, changed = [], False
            for a in node.names:
                full = f"{node.module}.{a.name}"
                local = a.asname or a.name
                if names.is_module(full):
                    new = names.module(full)
                    if new:
                        pkg, _, last = new.rpartition(".")
                        alias = a.asname or (local if last in tops and last != local else None)
                        aliases[local] = ("module", full, alias or last)
                        out.append((pkg, last, alias))
                    else:
                        aliases[local] = ("module", full, None)
                    changed = True
                elif full in names.symbols or names.is_module(node.module):
                    mod, name = names.symbol(node.module, a.name)
                    if not mod:
                        if full in names.symbols and not names.symbols[full]:
                            changed = True
                            continue
                        raise SystemExit(f"no new place for {full}")
                    aliases[local] = ("symbol", a.asname or name)
                    out.append((mod, name, a.asname))
                    changed = changed or (mod, name) != (node.module, a.name)
                else:
                    if full in {m.rsplit(".", 1)[0] for m in ()}:
                        pass
                    out.append((node.module, a.name, a.asname))
                    aliases.setdefault(local, ("module", full, local))
            if changed:
                text = "\n".join(f"from {m} import {n}{f' as {s}' if s else ''}" for m, n, s in out) or "pass"
                edits.append(
                    (
                        pos(node.lineno, node.col_offset),
                        pos(node.end_lineno, node.end_col_offset),
                        text if text != "pass" else "",
                    )
                )
    scopes = Scopes()
    scopes.visit(tree)
    global_names = {id(n) for n in scopes.globals}
    # names defined at the top of this file that are renamed
    defined = {}
    if own:
        for node in tree.body:
            ts = []
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                ts = [node.name]
            elif isinstance(node, ast.Assign):
                ts = [t.id for t in node.targets if isinstance(t, ast.Name)]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                ts = [node.target.id]
            for t in ts:
                mod, name = names.symbol(own, t)
                if name != t:
                    defined[t] = name
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) and node.name in defined:
                head = raw[
                    pos(node.lineno, node.col_offset) : pos(node.lineno + 2, 0)
                    if node.lineno + 1 < len(starts)
                    else len(raw)
                ]
                m = re.compile(rb"(?:def|class)\s+(" + node.name.encode() + rb")\b").search(head)
                at = pos(node.lineno, node.col_offset) + m.start(1)
                edits.append((at, at + len(node.name), defined[node.name]))
    done = set()
    for node in ast.walk(tree):
        # monkeypatch.setattr(module, "name", …)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "setattr"
            and len(node.args) > 1
        ):
            target, text = node.args[:2]
            if (
                isinstance(target, ast.Name)
                and id(target) in global_names
                and isinstance(text, ast.Constant)
                and isinstance(text.value, str)
            ):
                a = aliases.get(target.id)
                if a and a[0] == "module":
                    mod, name = names.symbol(a[1], text.value)
                    if mod and (mod != names.module(a[1]) or name != text.value):
                        pkg, _, last = mod.rpartition(".")
                        if mod != names.module(a[1]):
                            extra.add((pkg, last))
                        else:
                            last = a[2]
                        edits.append(
                            (pos(target.lineno, target.col_offset), pos(target.end_lineno, target.end_col_offset), last)
                        )
                        done.add(id(target))
                        edits.append(
                            (pos(text.lineno, text.col_offset), pos(text.end_lineno, text.end_col_offset), f'"{name}"')
                        )
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and id(node.value) in global_names:
            a = aliases.get(node.value.id)
            if a and a[0] == "module":
                old = a[1]
                mod, name = names.symbol(old, node.attr)
                if f"{old}.{node.attr}" in names.modules:
                    new = names.modules[f"{old}.{node.attr}"]
                    pkg, _, last = new.rpartition(".")
                    extra.add((pkg, last))
                    edits.append((pos(node.lineno, node.col_offset), pos(node.end_lineno, node.end_col_offset), last))
                    done.add(id(node.value))
                    continue
                if mod == names.module(old) and a[2]:
                    if name != node.attr:
                        end = pos(node.end_lineno, node.end_col_offset)
                        edits.append((end - len(node.attr.encode()), end, name))
                elif mod:
                    pkg, _, last = mod.rpartition(".")
                    if last in taken and not (last == a[2]):
                        extra.add((mod, name))
                        text = name
                    else:
                        extra.add((pkg, last))
                        text = f"{last}.{name}"
                    if name in tops or last in tops:
                        extra.discard((pkg, last))
                        extra.discard((mod, name))
                        extra.add((mod, f"{name} as {name}_moved"))
                        text = f"{name}_moved"
                    edits.append((pos(node.lineno, node.col_offset), pos(node.end_lineno, node.end_col_offset), text))
                    done.add(id(node.value))
                else:
                    print("  !! lost", old, node.attr, file=sys.stderr)
        if isinstance(node, ast.Attribute) and node.attr in names.identifiers:
            end = pos(node.end_lineno, node.end_col_offset)
            edits.append((end - len(node.attr.encode()), end, names.identifiers[node.attr]))
        if isinstance(node, ast.arg) and node.arg in names.identifiers:
            at = pos(node.lineno, node.col_offset)
            edits.append((at, at + len(node.arg.encode()), names.identifiers[node.arg]))
        if isinstance(node, ast.keyword) and node.arg in names.identifiers:
            at = pos(node.lineno, node.col_offset)
            edits.append((at, at + len(node.arg.encode()), names.identifiers[node.arg]))
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            and node.name in names.identifiers
            and node.name not in defined
        ):
            head = raw[pos(node.lineno, node.col_offset) :]
            m = re.compile(rb"(?:def|class)\s+(" + node.name.encode() + rb")\b").search(head)
            at = pos(node.lineno, node.col_offset) + m.start(1)
            edits.append((at, at + len(node.name.encode()), names.identifiers[node.name]))
        if isinstance(node, ast.ExceptHandler):
            pass
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in done:
            new = None
            if id(node) in global_names:
                a = aliases.get(node.id)
                if a:
                    new = a[2] if a[0] == "module" else a[1]
                elif node.id in defined:
                    new = defined[node.id]
            if new is None or new == node.id:
                new = names.identifiers.get(node.id, node.id)
            if new != node.id:
                edits.append((pos(node.lineno, node.col_offset), pos(node.end_lineno, node.end_col_offset), new))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            a, b = pos(node.lineno, node.col_offset), pos(node.end_lineno, node.end_col_offset)
            text = raw[a:b].decode()
            new = text
            if names.dotted_re:
                new = names.dotted_re.sub(lambda m: names.dotted[m[1]], new)
            if node.value in names.texts:
                new = text.replace(node.value, names.texts[node.value]) if node.value in text else new
            if new != text and b > a:
                edits.append((a, b, new))
    edits = sorted(set(edits))
    # drop nested
    out, last = [], -1
    for e in edits:
        if e[0] < last:
            continue
        out.append(e)
        last = e[1]
    for a, b, text in reversed(out):
        raw = raw[:a] + text.encode() + raw[b:]
    result = raw.decode()
    if extra:
        imports = "".join(f"from {p} import {n}\n" for p, n in sorted(extra))
        # after the docstring and future imports: before the first import
        first = next((n for n in ast.parse(result).body if isinstance(n, (ast.Import, ast.ImportFrom))), None)
        at = first.lineno - 1 if first else (1 if ast.get_docstring(tree) else 0)
        rl = result.splitlines(keepends=True)
        result = "".join(rl[:at]) + imports + "".join(rl[at:])
    return result
