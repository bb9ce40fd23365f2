"""Derived features: safe expressions over other features. Pure: columns in, a column out.

simpleeval walks the tree with the operators and functions of this module and no others; before that, `parse` refuses
whatever is not one of theirs, with a sentence. A missing value is NaN and passes through; so does what has no finite
value, such as a division by zero.
"""

import ast
import math
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache, reduce
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from simpleeval import SimpleEval

from featurehub.lib.errors import InvalidError
from features.formulas.activity import Floats

MAX_CHARACTERS = 1_000
# The evaluator descends two or three Python frames a level.
MAX_DEPTH = 100
MAX_QUOTED = 40


def finite(values: Floats) -> Floats:
    """What overflowed or was divided by zero has no value, at once: 1 / (x / 0) must not be 0."""
    return np.where(np.isfinite(values), values, np.nan)


def arithmetic(operation: Callable[..., Any]) -> Callable[..., Floats]:
    return lambda *values: finite(operation(*values))


def comparison(operation: Callable[..., Any]) -> Callable[[Floats, Floats], Floats]:
    """1.0 or 0.0; a missing value is neither less than another nor not."""
    return lambda left, right: np.where(np.isnan(left) | np.isnan(right), np.nan, operation(left, right))


def clamp(value: Floats, low: Floats, high: Floats) -> Floats:
    clamped: Floats = np.minimum(np.maximum(value, low), high)
    return clamped


def coalesce(value: Floats, default: Floats) -> Floats:
    return np.where(np.isnan(value), default, value)


def where(condition: Floats, then: Floats, otherwise: Floats) -> Floats:
    """What the branch that is not taken lacks does not matter."""
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, then, otherwise))


OPERATORS = {
    ast.Add: arithmetic(np.add),
    ast.Sub: arithmetic(np.subtract),
    ast.Mult: arithmetic(np.multiply),
    ast.Div: arithmetic(np.divide),
    ast.USub: np.negative,
    ast.Eq: comparison(np.equal),
    ast.NotEq: comparison(np.not_equal),
    ast.Lt: comparison(np.less),
    ast.LtE: comparison(np.less_equal),
    ast.Gt: comparison(np.greater),
    ast.GtE: comparison(np.greater_equal),
}
FUNCTIONS = {
    "abs": np.abs,
    "clamp": clamp,
    "coalesce": coalesce,
    "exp": arithmetic(np.exp),
    "log": arithmetic(np.log),
    "max": lambda *values: reduce(np.maximum, values),
    "min": lambda *values: reduce(np.minimum, values),
    "round": np.rint,
    "sqrt": np.sqrt,
    "where": where,
}
# How many values each takes; None: two or more.
TAKES = {
    **dict.fromkeys(("abs", "exp", "log", "round", "sqrt"), 1),
    "coalesce": 2,
    **dict.fromkeys(("clamp", "where"), 3),
    **dict.fromkeys(("max", "min"), None),
}
NODES = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name)
ALLOWED = f"numbers, features, + - * /, comparisons, parentheses and {', '.join(FUNCTIONS)}"
# What to write instead of something that is not allowed.
INSTEAD: dict[type[ast.AST], str] = {
    ast.And: "multiply comparisons: (a > 1) * (b > 1)",
    ast.Or: "use max(a > 1, b > 1)",
    ast.Not: "use 1 - (a > 1)",
    ast.IfExp: "use where(condition, a, b)",
    ast.Pow: "multiply, or use sqrt",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression; `names` are the features it uses."""

    text: str
    names: frozenset[str]
    tree: ast.expr = field(repr=False, compare=False)


class Evaluator(threading.local):
    """simpleeval's evaluator holds the columns it works on, so each thread has its own."""

    def __init__(self) -> None:
        self.simple = SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names={}, allowed_attrs={})
        self.simple.nodes = {kind: self.simple.nodes[kind] for kind in NODES}
        # A double of numpy's: with Python's own, a division by zero would be an exception.
        self.simple.nodes[ast.Constant] = lambda node: np.float64(node.value)


evaluator = Evaluator()


@lru_cache(maxsize=1_000)
def parse(text: str) -> Expression:
    """The expression, checked. Raises InvalidError that quotes what is wrong."""
    if len(text) > MAX_CHARACTERS:
        raise invalid_expression(f"An expression has at most {MAX_CHARACTERS:,} characters, not {len(text):,}.")
    source = text.strip()
    if not source:
        raise invalid_expression("An expression can't be empty.")
    try:
        tree = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        raise invalid_expression(f"This is no expression: {syntax_problem(error, source=source)}.") from None
    except (ValueError, MemoryError, RecursionError):
        raise invalid_expression("This is no expression: it can't be read.") from None
    return Expression(text, names_in(tree, source=source), tree)


def syntax_problem(error: SyntaxError, *, source: str) -> str:
    """Return what is wrong with a source that Python can't parse, in words that are the same on every Python."""
    opened, closed = source.count("("), source.count(")")
    if opened != closed:
        return f"it opens {opened} and closes {closed} parentheses"
    if error.lineno is None or error.offset is None:  # a NUL, which Python 3.11.2 refuses with a ValueError
        return "it can't be read"
    if error.offset < 1:
        return "it ends too early"
    line = f" of line {error.lineno}" if error.lineno > 1 else ""
    return f"it can't be read from character {error.offset}{line} on"


def names_in(tree: ast.expr, *, source: str) -> frozenset[str]:
    """The features that the tree uses. Raises InvalidError where it holds what is not allowed."""
    names: set[str] = set()
    ahead = [(tree, 1)]
    for node, depth in ahead:
        if depth > MAX_DEPTH:
            raise invalid_expression(f"The expression is nested more than {MAX_DEPTH} levels deep.")
        if isinstance(node, ast.Name):
            names.add(node.id)
        ahead += [(part, depth + 1) for part in operands(node, source=source)]
    return frozenset(names)


def operands(node: ast.expr, *, source: str) -> list[ast.expr]:
    """What the node computes with. Raises InvalidError where it is not allowed."""
    match node:
        case ast.Constant():
            check_constant(node, source=source)
            return []
        case ast.Name(id=name):
            if name in FUNCTIONS:
                raise invalid_expression(f"{name} is a function: write {name}(…).")
            return []
        case ast.Call():
            check_call(node, source=source)
            return node.args
        case ast.UnaryOp(op=ast.USub()):
            return [node.operand]
        case ast.BinOp(op=kind) | ast.Compare(ops=[kind]) if type(kind) in OPERATORS:
            return [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
        case ast.Compare(ops=[_, _, *_]):
            raise invalid_expression(
                f"{quoted(node, source=source)} compares more than two things: compare two at a time."
            )
    raise not_allowed(node, source=source)


def check_constant(node: ast.Constant, *, source: str) -> None:
    if type(node.value) not in (int, float):
        raise not_allowed(node, source=source)
    try:
        is_finite = math.isfinite(node.value)  # type: ignore[arg-type]
    except OverflowError:
        is_finite = False
    if not is_finite:
        raise invalid_expression(f"{quoted(node, source=source)} is too large a number.")


def check_call(node: ast.Call, *, source: str) -> None:
    if not isinstance(node.func, ast.Name):
        raise not_allowed(node, source=source)
    name = node.func.id
    if name not in FUNCTIONS:
        raise invalid_expression(f"There is no function {name}.{nearest(name, FUNCTIONS)}")
    if node.keywords:
        raise invalid_expression(f"{quoted(node, source=source)}: a function's values are not named.")
    takes, given = TAKES[name], len(node.args)
    if (given < 2) if takes is None else (given != takes):
        wanted = "two or more values" if takes is None else f"{takes} value{'s' if takes > 1 else ''}"
        raise invalid_expression(f"{quoted(node, source=source)}: {name} takes {wanted}, not {given}.")


def not_allowed(node: ast.AST, *, source: str) -> InvalidError:
    used: ast.AST = getattr(node, "op", node)
    instead = INSTEAD.get(type(used), f"an expression holds {ALLOWED}")
    return invalid_expression(f"{quoted(node, source=source)} is not allowed: {instead}.")


def quoted(node: ast.AST, *, source: str) -> str:
    """The part of the source that the node stands for, as the author wrote it."""
    segment = ast.get_source_segment(source, node) or type(node).__name__
    return segment if len(segment) <= MAX_QUOTED else f"{segment[:MAX_QUOTED]}…"


def invalid_expression(sentence: str) -> InvalidError:
    return InvalidError(sentence, attr="expression")


def evaluate(expression: Expression, columns: Mapping[str, Floats], rows: int) -> Floats:
    """The expression's value for each of n customers: float64 of length `rows`, NaN where it has none.

    `columns` holds one of length `rows` for each of the expression's names, of finite values and NaN; a KeyError
    otherwise. The result is an array of its own.
    """
    simple = evaluator.simple
    simple.names = {name: columns[name] for name in expression.names}
    with np.errstate(all="ignore"):
        value = simple.eval(expression.text, previously_parsed=expression.tree)
    return np.array(np.broadcast_to(value, rows), dtype=np.float64)


def in_order(expressions: Mapping[str, Expression], *, known: Collection[str]) -> tuple[str, ...]:
    """The derived features so that each comes after those it uses; `known` are the features that are not derived.

    Raises InvalidError for a name that nobody knows, and for a feature that uses itself, however indirectly.
    """
    everything = {*known, *expressions}
    for name, expression in expressions.items():
        for unknown in sorted(expression.names - everything):
            raise invalid_expression(f"{name} uses {unknown}, which is no feature.{nearest(unknown, everything)}")
    return tuple(name for name in sorted_by_use(expressions) if name in expressions)


def depending_on(expressions: Mapping[str, Expression], names: Collection[str]) -> frozenset[str]:
    """Return the derived features that use one of `names`, directly or by way of others.

    Raises InvalidError for a cycle.
    """
    depending: set[str] = set()
    for name in sorted_by_use(expressions):
        if name in expressions and not expressions[name].names.isdisjoint(depending.union(names)):
            depending.add(name)
    return frozenset(depending)


def sorted_by_use(expressions: Mapping[str, Expression]) -> tuple[str, ...]:
    """Every feature after those it uses, in the same order in every process."""
    uses = {name: sorted(expression.names) for name, expression in expressions.items()}
    try:
        return tuple(TopologicalSorter(uses).static_order())
    except CycleError as error:
        cycle = " → ".join(reversed(error.args[1]))
        raise invalid_expression(f"A feature can't use itself: {cycle}.") from None


def nearest(name: str, names: Collection[str]) -> str:
    """A suggestion, or nothing."""
    close = get_close_matches(name, sorted(names), n=1)
    return f" Did you mean {close[0]}?" if close else ""
