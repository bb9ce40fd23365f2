"""Derived features: safe expressions over other features, evaluated on whole columns.

`parse` refuses every construct that is not listed here, with a message for the author. simpleeval then evaluates the
tree, with the operators and functions of this module only. A missing value is NaN and propagates. A result that is not
finite, such as a division by zero, is missing too.
"""

import ast
import math
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from simpleeval import SimpleEval

from featurehub.lib.errors import InvalidError
from featurehub.lib.suggestions import did_you_mean
from features.formulas.activity import Floats

MAX_CHARACTERS = 1_000
# The evaluator recurses through two or three Python frames per level.
MAX_DEPTH = 100
# Of an expression that can't be parsed, from the place on where that is.
MAX_NEAR = 20
MAX_QUOTED = 40


def finite(values: Floats) -> Floats:
    """Return the values with NaN in place of infinities.

    Applied after each operation, because 1 / (x / 0) must be missing, not 0.
    """
    return np.where(np.isfinite(values), values, np.nan)


def arithmetic(operation: Callable[..., Any]) -> Callable[..., Floats]:
    """Return the operation, with NaN in place of results that are not finite."""
    return lambda *values: finite(operation(*values))


def comparison(operation: Callable[..., Any]) -> Callable[[Floats, Floats], Floats]:
    """Return the comparison as 1.0 or 0.0; NaN where either side is missing."""
    return lambda left, right: np.where(np.isnan(left) | np.isnan(right), np.nan, operation(left, right))


def clamp(value: Floats, low: Floats, high: Floats) -> Floats:
    """Return the value cut to [low, high]."""
    clamped: Floats = np.minimum(np.maximum(value, low), high)
    return clamped


def coalesce(value: Floats, default: Floats) -> Floats:
    """Return the value, or `default` where it is missing."""
    return np.where(np.isnan(value), default, value)


def where(condition: Floats, then: Floats, otherwise: Floats) -> Floats:
    """Return `then` where the condition is not 0, else `otherwise`; NaN where the condition is missing.

    A missing value in the branch that is not taken has no effect.
    """
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
# The number of values that each function takes; None: two or more.
ARITY = {
    **dict.fromkeys(("abs", "exp", "log", "round", "sqrt"), 1),
    "coalesce": 2,
    **dict.fromkeys(("clamp", "where"), 3),
    **dict.fromkeys(("max", "min"), None),
}
NODES = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name)
ALLOWED = f"numbers, features, + - * /, comparisons, parentheses and {', '.join(FUNCTIONS)}"
# Suggestions for constructs that are not allowed.
SUGGESTED_SYNTAX: dict[type[ast.AST], str] = {
    ast.And: "multiply comparisons: (a > 1) * (b > 1)",
    ast.Or: "use max(a > 1, b > 1)",
    ast.Not: "use 1 - (a > 1)",
    ast.IfExp: "use where(condition, a, b)",
    ast.Pow: "multiply, or use sqrt",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed and checked expression; `names` are the features that it reads."""

    text: str
    names: frozenset[str]
    tree: ast.expr = field(repr=False, compare=False)


class Evaluator(threading.local):
    """A simpleeval evaluator per thread, because an evaluator holds the columns that it works on."""

    def __init__(self) -> None:
        self.simple = SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names={}, allowed_attrs={})
        self.simple.nodes = {kind: self.simple.nodes[kind] for kind in NODES}
        # numpy's double, because a division of Python's own by zero raises an exception.
        self.simple.nodes[ast.Constant] = lambda node: np.float64(node.value)


evaluator = Evaluator()


@lru_cache(maxsize=1_000)
def parse(text: str) -> Expression:
    """Return the parsed and checked expression.

    Raises InvalidError, which quotes the wrong part, where the text is not a valid expression.
    """
    if len(text) > MAX_CHARACTERS:
        raise invalid_expression(f"An expression has at most {MAX_CHARACTERS:,} characters, not {len(text):,}.")
    source = text.strip()
    if not source:
        raise invalid_expression("An expression can't be empty.")
    try:
        tree = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        raise invalid_expression(f"Invalid expression{syntax_problem(error, source=source)}.") from None
    except (ValueError, MemoryError, RecursionError):
        raise invalid_expression("Invalid expression: it holds a character that no expression has.") from None
    return Expression(text, names_in(tree, source=source), tree)


def syntax_problem(error: SyntaxError, *, source: str) -> str:
    """Return what is wrong with a source that Python can't parse, in words that are the same on every Python."""
    opened, closed = source.count("("), source.count(")")
    if opened != closed:
        return f": it opens {opened} and closes {closed} parentheses"
    if error.lineno is None or error.offset is None:  # a NUL, which Python 3.11.2 refuses with a ValueError
        return ": it holds a character that no expression has"
    if error.offset < 1:
        return ": it ends too early"
    line = f" in line {error.lineno}" if error.lineno > 1 else ""
    rest = source.splitlines()[error.lineno - 1][error.offset - 1 :]
    return f" near “{rest if len(rest) <= MAX_NEAR else f'{rest[:MAX_NEAR]}…'}”{line}"


def names_in(tree: ast.expr, *, source: str) -> frozenset[str]:
    """Return the features that the tree reads.

    Raises InvalidError where a construct is not allowed or is nested too deeply.
    """
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
    """Return the operands of a node.

    Raises InvalidError where the node is not allowed.
    """
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
                f"{quoted(node, source=source)} compares more than two values: compare two at a time."
            )
    raise not_allowed(node, source=source)


def check_constant(node: ast.Constant, *, source: str) -> None:
    """Raise InvalidError for a constant that is not a finite number."""
    if type(node.value) not in (int, float):
        raise not_allowed(node, source=source)
    try:
        is_finite = math.isfinite(node.value)  # type: ignore[arg-type]
    except OverflowError:
        is_finite = False
    if not is_finite:
        raise invalid_expression(f"{quoted(node, source=source)} is too large a number.")


def check_call(node: ast.Call, *, source: str) -> None:
    """Raise InvalidError for a call of an unknown function, or with the wrong arguments."""
    if not isinstance(node.func, ast.Name):
        raise not_allowed(node, source=source)
    name = node.func.id
    if name not in FUNCTIONS:
        raise invalid_expression(f"There is no function {name}.{did_you_mean(name, FUNCTIONS)}")
    if node.keywords:
        raise invalid_expression(f"{quoted(node, source=source)}: a function takes no named values.")
    takes, given = ARITY[name], len(node.args)
    if (given < 2) if takes is None else (given != takes):
        wanted = "two or more values" if takes is None else f"{takes} value{'s' if takes > 1 else ''}"
        raise invalid_expression(f"{quoted(node, source=source)}: {name} takes {wanted}, not {given}.")


def not_allowed(node: ast.AST, *, source: str) -> InvalidError:
    """Return the error for a node that is not allowed, with a suggestion."""
    used: ast.AST = getattr(node, "op", node)
    instead = SUGGESTED_SYNTAX.get(type(used), f"an expression holds {ALLOWED}")
    return invalid_expression(f"{quoted(node, source=source)} is not allowed: {instead}.")


def quoted(node: ast.AST, *, source: str) -> str:
    """Return the source text of a node, cut to MAX_QUOTED characters."""
    segment = ast.get_source_segment(source, node) or type(node).__name__
    return segment if len(segment) <= MAX_QUOTED else f"{segment[:MAX_QUOTED]}…"


def invalid_expression(sentence: str) -> InvalidError:
    return InvalidError(sentence, attr="expression")


def evaluate(expression: Expression, columns: Mapping[str, Floats], rows: int) -> Floats:
    """Evaluate the expression for n customers.

    `columns` holds an array of length `rows`, of finite values and NaN, for each of the expression's names; KeyError
    where one is absent. Returns a new float64 array of length `rows`, NaN where the expression has no value.
    """
    simple = evaluator.simple
    simple.names = {name: columns[name] for name in expression.names}
    with np.errstate(all="ignore"):
        value = simple.eval(expression.text, previously_parsed=expression.tree)
    return np.array(np.broadcast_to(value, rows), dtype=np.float64)


def computation_order(expressions: Mapping[str, Expression], *, known: Collection[str]) -> tuple[str, ...]:
    """Return the derived features in an order in which each follows those that it reads.

    `known` are the features that are not derived. Raises InvalidError for a name that is not a feature, and for a
    feature that reads itself, directly or through others.
    """
    everything = {*known, *expressions}
    for name, expression in expressions.items():
        for unknown in sorted(expression.names - everything):
            raise invalid_expression(
                f"{name} uses {unknown}, which is not a feature.{did_you_mean(unknown, everything)}"
            )
    return tuple(name for name in sorted_by_use(expressions) if name in expressions)


def depending_on(expressions: Mapping[str, Expression], names: Collection[str]) -> frozenset[str]:
    """Return the derived features that read one of `names`, directly or through others.

    Raises InvalidError for a cycle.
    """
    depending: set[str] = set()
    for name in sorted_by_use(expressions):
        if name in expressions and not expressions[name].names.isdisjoint(depending.union(names)):
            depending.add(name)
    return frozenset(depending)


def sorted_by_use(expressions: Mapping[str, Expression]) -> tuple[str, ...]:
    """Return all features so that each follows those that it reads, in the same order in every process.

    Raises InvalidError for a cycle.
    """
    uses = {name: sorted(expression.names) for name, expression in expressions.items()}
    try:
        return tuple(TopologicalSorter(uses).static_order())
    except CycleError as error:
        cycle = " → ".join(reversed(error.args[1]))
        raise invalid_expression(f"A feature can't use itself: {cycle}.") from None
