"""Expressions as PostgreSQL's SQL, so that derived values that change with time can be sorted and filtered by.

A missing value is null in SQL and NaN in `expressions`. Both propagate: `float8larger` and `float8smaller` are strict
where `greatest` and `least` are not. Results that are too large or too close to zero for a double are errors in
PostgreSQL, and missing or 0 in Python.
"""

import ast
from collections.abc import Callable, Mapping
from functools import reduce

from featurehub.lib.errors import InvalidError
from features.formulas.expressions import Expression

# A function that uses a value twice doubles its text at each level.
MOST_SQL_CHARACTERS = 20_000
# `exp` of more overflows, of less underflows.
LARGEST_EXPONENT, SMALLEST_EXPONENT = 709.78, -708.0

ARITHMETIC: Mapping[type[ast.AST], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
COMPARISONS: Mapping[type[ast.AST], str] = {
    ast.Eq: "=",
    ast.NotEq: "<>",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def exp_sql(value: str) -> str:
    largest = number_sql(LARGEST_EXPONENT)
    return f"exp(float8larger(nullif(float8smaller({value}, {largest}), {largest}), {number_sql(SMALLEST_EXPONENT)}))"


def where_sql(condition: str, then: str, otherwise: str) -> str:
    return f"case when {condition} <> 0 then {then} when {condition} = 0 then {otherwise} end"


CALLS: Mapping[str, Callable[..., str]] = {
    "abs": lambda value: f"abs({value})",
    "clamp": lambda value, low, high: f"float8smaller(float8larger({value}, {low}), {high})",
    "coalesce": lambda value, default: f"coalesce({value}, {default})",
    "exp": exp_sql,
    # `greatest` turns null into 0, and `nullif` all that has no logarithm into null.
    "log": lambda value: f"ln(nullif(greatest({value}, 0), 0))",
    "max": lambda *values: reduce(lambda one, other: f"float8larger({one}, {other})", values),
    "min": lambda *values: reduce(lambda one, other: f"float8smaller({one}, {other})", values),
    "round": lambda value: f"round({value})",
    "sqrt": lambda value: f"case when {value} >= 0 then sqrt({value}) end",
    "where": where_sql,
}


def expression_sql(expression: Expression, columns: Mapping[str, str]) -> str:
    """Return the expression as SQL; `columns` has the SQL of each name that it reads.

    Raises InvalidError where the SQL would be too long.
    """
    sql = node_sql(expression.tree, columns)
    if len(sql) > MOST_SQL_CHARACTERS:
        raise InvalidError(f"{expression.text[:40]}… is too deeply nested for a list.", attr="expression")
    return sql


def number_sql(number: float) -> str:
    return f"{float(number)!r}::float8"


def node_sql(node: ast.expr, columns: Mapping[str, str]) -> str:
    """Return the SQL of a node that `parse` accepted, in parentheses."""

    def part(operand: ast.expr) -> str:
        sql = node_sql(operand, columns)
        if len(sql) > MOST_SQL_CHARACTERS:
            raise InvalidError("The expression is too deeply nested for a list.", attr="expression")
        return sql

    match node:
        case ast.Constant(value=value):
            assert isinstance(value, int | float)
            return number_sql(value)
        case ast.Name(id=name):
            return columns[name]
        case ast.UnaryOp(operand=operand):
            return f"(- {part(operand)})"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"({part(left)} / nullif({part(right)}, 0))"
        case ast.BinOp(left=left, op=kind, right=right):
            return f"({part(left)} {ARITHMETIC[type(kind)]} {part(right)})"
        case ast.Compare(left=left, ops=[kind], comparators=[right]):
            return f"({part(left)} {COMPARISONS[type(kind)]} {part(right)})::int::float8"
        case ast.Call(func=ast.Name(id=name), args=args):
            return f"({CALLS[name](*map(part, args))})"
    raise AssertionError(f"{ast.dump(node)} is no part of an expression")
