"""Expressions of derived features: Python's arithmetic, a missing value where an operand is missing, nothing else."""

import math
import operator
import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurehub.lib.errors import InvalidError
from features.formulas.activity import Floats
from features.formulas.expressions import computation_order, depending_on, evaluate, parse
from tests.reference import rfm_score

NAN = math.nan
RFM = "(recency_score + frequency_score + monetary_score) / 3"

doubles = st.floats(allow_nan=False, allow_infinity=False)
some_missing = st.floats(allow_infinity=False)


def column(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


def value_of(text: str, **values: float) -> float:
    """Return the expression's value for one customer."""
    columns = {name: column(value) for name, value in values.items()}
    return evaluate(parse(text), columns, 1).item()


def same(one: float, other: float) -> bool:
    """Return whether two values are equal bit for bit; all NaN are the same."""
    return (math.isnan(one) and math.isnan(other)) or (
        one == other and math.copysign(1, one) == math.copysign(1, other)
    )


def expressions(**texts: str) -> dict[str, Any]:
    return {name: parse(text) for name, text in texts.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4 / 8", 6.5),
        ("-(x + 1) * 2", -8.0),
        ("--x", 3.0),
        ("1_000 + 0x10 + 1.5e2", 1166.0),
        ("(x > 2) + (x >= 3) + (x == 3) + (x != 4) + (x < 4) + (x <= 3)", 6.0),
        ("x < 3", 0.0),
        ("min(x, 2, 5)", 2.0),
        ("max(x, y)", 8.0),
        ("abs(-x)", 3.0),
        ("sqrt(x * x)", 3.0),
        ("log(exp(1))", 1.0),
        ("round(2.5) + round(3.5)", 6.0),
        ("clamp(x, 0, 1) + clamp(x, 4, 9) + clamp(x, 0, 9)", 8.0),
        ("coalesce(x, 7)", 3.0),
        ("coalesce(gone, 7)", 7.0),
        ("where(x > y, 10, 20)", 20.0),
        ("where(y / 2 - x, x, y)", 3.0),
        ("  (x\n + y)  # comments are the author's own", 11.0),
    ],
)
def test_an_expression_has_the_value_that_it_says(text: str, expected: float) -> None:
    assert value_of(text, x=3.0, y=8.0, gone=NAN) == expected


@pytest.mark.parametrize(
    "text",
    [
        "gone",
        "-gone + 1",
        "gone * 0",
        "gone > 1",
        "gone == gone",
        "min(gone, 1)",
        "max(1, 2, gone)",
        "clamp(gone, 0, 1)",
        "clamp(1, 0, gone)",
        "where(gone, 1, 2)",
        "where(1, gone, 2)",
        "coalesce(gone, gone)",
        "x / 0",
        "0 / 0",
        "1 / (x / 0)",
        "log(0)",
        "log(0 - x)",
        "sqrt(-x)",
        "exp(1000)",
        "1e308 * 10",
        "1e308 + 1e308",
        "-1e308 - 1e308",
        "1e308 / 1e-308",
    ],
)
def test_what_has_no_finite_value_is_missing(text: str) -> None:
    assert math.isnan(value_of(text, x=3.0, gone=NAN))


def test_what_the_branch_that_is_not_taken_lacks_does_not_matter() -> None:
    expression = parse("where(visits > 0, orders / visits, 0)")
    columns = {"visits": column(0, 4, NAN), "orders": column(2, 2, 2)}
    np.testing.assert_array_equal(evaluate(expression, columns, 3), [0.0, 0.5, NAN])


def test_each_customer_gets_what_they_would_get_alone() -> None:
    expression = parse("where(x > y, clamp(x / y, 0, 2), coalesce(x, y) - 1)")
    pairs = [(1.0, 2.0), (5.0, 1.0), (NAN, 1.0), (3.0, 0.0), (3.0, 2.0)]
    batch = evaluate(expression, {"x": column(*[x for x, _ in pairs]), "y": column(*[y for _, y in pairs])}, 5)
    for value, (x, y) in zip(batch.tolist(), pairs, strict=True):
        assert same(value, value_of(expression.text, x=x, y=y))


def test_an_expression_without_features_has_one_value_for_all() -> None:
    assert parse("1 / 4").names == frozenset()
    assert evaluate(parse("1 / 4"), {}, 3).tolist() == [0.25, 0.25, 0.25]


def test_a_batch_of_no_customers_gives_an_empty_column() -> None:
    assert evaluate(parse("x + 1"), {"x": column()}, 0).tolist() == []


def test_the_result_is_an_array_of_its_own() -> None:
    x = column(1, 2)
    evaluate(parse("x"), {"x": x}, 2)[0] = 5
    assert x.tolist() == [1, 2]


def test_features_that_an_expression_does_not_use_are_ignored_and_one_it_lacks_is_an_error() -> None:
    assert evaluate(parse("x"), {"x": column(1), "y": column(1, 2, 3)}, 1).tolist() == [1]
    with pytest.raises(KeyError, match="x"):
        evaluate(parse("x + y"), {"y": column(1)}, 1)


def test_an_expression_knows_its_features_and_is_parsed_once() -> None:
    expression = parse("where(a > b, min(a, c), 0)")
    assert expression.names == {"a", "b", "c"}
    assert parse("where(a > b, min(a, c), 0)") is expression


def test_threads_do_not_see_the_columns_of_others() -> None:
    wrong = []

    def work(number: int) -> None:
        columns = {"x": np.full(1_000, float(number))}
        wrong.extend(1 for _ in range(200) if set(evaluate(parse("x + x * 2"), columns, 1_000)) != {number * 3.0})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(st.lists(st.tuples(some_missing, some_missing, some_missing), max_size=20))
def test_the_first_derived_score_is_the_formula_bit_for_bit(rows: list[tuple[float, float, float]]) -> None:
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    names = ("recency_score", "frequency_score", "monetary_score")
    given = evaluate(parse(RFM), dict(zip(names, columns, strict=True)), len(rows))
    with np.errstate(all="ignore"):
        formula = rfm_score(columns[0], frequency=columns[1], monetary=columns[2])
    # Scores are shares, so the formula need not handle sums that overflow.
    expected = np.where(np.isfinite(formula), formula, NAN)
    assert np.where(np.isnan(given), NAN, given).tobytes() == np.where(np.isnan(expected), NAN, expected).tobytes()


PLAIN = {
    "({} + {})": operator.add,
    "({} - {})": operator.sub,
    "({} * {})": operator.mul,
    "({} / {})": lambda left, right: left / right if right else NAN,
    "({} < {})": lambda left, right: float(left < right),
    "({} <= {})": lambda left, right: float(left <= right),
    "({} > {})": lambda left, right: float(left > right),
    "({} >= {})": lambda left, right: float(left >= right),
    "({} == {})": lambda left, right: float(left == right),
    "({} != {})": lambda left, right: float(left != right),
    "-{}": operator.neg,
    "abs({})": abs,
    "sqrt({})": lambda value: math.sqrt(value) if value >= 0 else NAN,
    "round({})": lambda value: math.copysign(float(round(value)), value),
}
ONE = [form for form in PLAIN if form.count("{}") == 1]
TWO = [form for form in PLAIN if form.count("{}") == 2]
# A feature, a number, or a form of PLAIN with its operands.
trees = st.recursive(
    st.sampled_from("abc") | st.floats(0, allow_infinity=False) | st.integers(0, 10**20).map(float),
    lambda inner: st.tuples(st.sampled_from(ONE), inner) | st.tuples(st.sampled_from(TWO), inner, inner),
    max_leaves=12,
)


def text_of(tree: Any) -> str:
    if isinstance(tree, tuple):
        return tree[0].format(*map(text_of, tree[1:]))
    return str(tree)


def computed_by_python(tree: Any, values: dict[str, float]) -> float:
    """Return the value computed one double at a time; NaN where an operand is missing or a result is not finite."""
    if not isinstance(tree, tuple):
        return values.get(tree, tree)
    operands = [computed_by_python(operand, values) for operand in tree[1:]]
    value = NAN if any(map(math.isnan, operands)) else PLAIN[tree[0]](*operands)
    return value if math.isfinite(value) else NAN


@given(tree=trees, a=some_missing, b=doubles, c=doubles)
def test_arithmetic_is_that_of_python_bit_for_bit(tree: Any, a: float, b: float, c: float) -> None:
    values = {"a": a, "b": b, "c": c}
    assert same(value_of(text_of(tree), **values), computed_by_python(tree, values))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "An expression can't be empty."),
        ("  \n ", "An expression can't be empty."),
        ("x +", "Invalid expression: it ends too early."),
        ("x y", "Invalid expression near “y”."),
        ("import os", "Invalid expression near “import os”."),
        ("x = 1", "Invalid expression near “= 1”."),
        ("x; y", "Invalid expression near “; y”."),
        ("(x\n + 2 ? y)", "Invalid expression near “? y)” in line 2."),
        ("abs((x)", "Invalid expression: it opens 2 and closes 1 parentheses."),
        ("x)", "Invalid expression: it opens 0 and closes 1 parentheses."),
        ("x\0", "Invalid expression: it holds a character that no expression has."),
        ("x\udc80", "Invalid expression: it holds a character that no expression has."),
        ("__import__('os').system('true')", "__import__('os').system('true') is not allowed: an expression holds"),
        ("__import__(1)", "There is no function __import__."),
        ("eval(1)", "There is no function eval."),
        ("x.real", "x.real is not allowed: an expression holds numbers, features, + - * /, comparisons"),
        ("x.__class__.__mro__", "x.__class__.__mro__ is not allowed"),
        ("(1).__class__", "(1).__class__ is not allowed"),
        ("min.__globals__", "min.__globals__ is not allowed"),
        ("x[0]", "x[0] is not allowed"),
        ("[x, y]", "[x, y] is not allowed"),
        ("(x, y)", "(x, y) is not allowed"),
        ("{x: y}", "{x: y} is not allowed"),
        ("max([x for x in y])", "max([x for x in y]): max takes two or more values, not 1."),
        ("max(0, [x for x in y])", "[x for x in y] is not allowed"),
        ("max(*x, *y)", "*x is not allowed"),
        ("(lambda: 1)()", "(lambda: 1)() is not allowed"),
        ("lambda: 1", "lambda: 1 is not allowed"),
        ("(x := 1)", "x := 1 is not allowed"),
        ("'text'", "'text' is not allowed"),
        ("f'{x}'", "f'{x}' is not allowed"),
        ("b'x' + 1", "b'x' is not allowed"),
        ("True", "True is not allowed"),
        ("None", "None is not allowed"),
        ("...", "... is not allowed"),
        ("1j", "1j is not allowed"),
        ("9**9**9", "9**9**9 is not allowed: multiply, or use sqrt."),
        ("x % 2", "x % 2 is not allowed"),
        ("x // 2", "x // 2 is not allowed"),
        ("x @ y", "x @ y is not allowed"),
        ("1 << 9999999", "1 << 9999999 is not allowed"),
        ("~x", "~x is not allowed"),
        ("+x", "+x is not allowed"),
        ("x > 1 and y > 1", "x > 1 and y > 1 is not allowed: multiply comparisons: (a > 1) * (b > 1)."),
        ("x > 1 or y > 1", "x > 1 or y > 1 is not allowed: use max(a > 1, b > 1)."),
        ("not x", "not x is not allowed: use 1 - (a > 1)."),
        ("1 if x else 2", "1 if x else 2 is not allowed: use where(condition, a, b)."),
        ("1 < x < 2", "1 < x < 2 compares more than two values: compare two at a time."),
        ("x is y", "x is y is not allowed"),
        ("x in y", "x in y is not allowed"),
        ("1e999", "1e999 is too large a number."),
        ("9" * 400, f"{'9' * 40}… is too large a number."),
        ("clam(x, 0, 1)", "There is no function clam. Did you mean clamp?"),
        ("median(x, y)", "There is no function median."),
        ("clamp(x, 1)", "clamp(x, 1): clamp takes 3 values, not 2."),
        ("abs()", "abs(): abs takes 1 value, not 0."),
        ("min(x)", "min(x): min takes two or more values, not 1."),
        ("clamp(x, low=0, high=1)", "clamp(x, low=0, high=1): a function takes no named values."),
        ("clamp(**x)", "clamp(**x): a function takes no named values."),
        ("min + 1", "min is a function: write min(…)."),
        ("x" + " + 1" * 250, "An expression has at most 1,000 characters, not 1,001."),
        ("-" * 900 + "1", "The expression is nested more than 100 levels deep."),
        ("x" + "+1" * 400, "The expression is nested more than 100 levels deep."),
        ("(" * 300 + "1" + ")" * 300, "Invalid expression near “(((("),
        ("abs(" * 150 + "1" + ")" * 150, "The expression is nested more than 100 levels deep."),
    ],
)
def test_everything_else_is_refused_with_a_sentence_that_quotes_it(text: str, sentence: str) -> None:
    with pytest.raises(InvalidError) as refused:
        parse(text)
    assert refused.value.detail.startswith(sentence)
    assert refused.value.attr == "expression"


@given(st.text(max_size=50) | st.text("abcmin()+-*/<>=.,:[]{}'\"\\# \n0123456789_", max_size=50))
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        expression = parse(text)
    except InvalidError:
        return
    columns = {name: column(1, NAN) for name in expression.names}
    values = evaluate(expression, columns, 2)
    assert not np.isinf(values).any()


def test_the_deepest_expression_that_is_allowed_is_evaluated() -> None:
    assert value_of("x" + " + 1" * 99, x=1.0) == 100.0


def test_a_derived_feature_comes_after_those_it_uses() -> None:
    derived = expressions(total="share + base", share="half / base", half="base / 2")
    assert computation_order(derived, known={"base", "other"}) == ("half", "share", "total")


def test_without_derived_features_there_is_nothing_to_order() -> None:
    assert computation_order({}, known={"base"}) == ()


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({"a": "recency_scor + 1"}, "a uses recency_scor, which is not a feature. Did you mean recency_score?"),
        ({"a": "zzz + 1"}, "a uses zzz, which is not a feature."),
        ({"a": "a + 1"}, "A feature can't use itself: a → a."),
        ({"a": "b + 1", "b": "c", "c": "a"}, "A feature can't use itself: a → b → c → a."),
        ({"x": "a", "a": "b + 1", "b": "recency_score + a"}, "A feature can't use itself: a → b → a."),
    ],
)
def test_unknown_features_and_cycles_are_named(texts: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidError) as refused:
        computation_order(expressions(**texts), known={"recency_score"})
    assert refused.value.detail == sentence


def test_what_uses_a_time_dependent_value_is_time_dependent() -> None:
    derived = expressions(rfm=RFM, rank="where(rfm > 0.5, 1, 0)", constant="tenure * 2", twice="constant + rank")
    assert depending_on(derived, {"recency_score"}) == {"rfm", "rank", "twice"}
    assert depending_on(derived, {"tenure"}) == {"constant", "twice"}
    assert depending_on(derived, set()) == frozenset()


chains = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefxy"), min_size=1, max_size=3))


@given(chains)
def test_every_order_is_possible_or_names_a_cycle(uses: dict[str, list[str]]) -> None:
    derived = {name: parse(" + ".join(used)) for name, used in uses.items()}
    known = set("abcdefxy") - set(derived)
    try:
        order = computation_order(derived, known=known)
    except InvalidError as refused:
        cycle = refused.detail.removeprefix("A feature can't use itself: ").removesuffix(".").split(" → ")
        assert cycle[0] == cycle[-1]
        assert all(used in uses[name] for name, used in pairwise(cycle))
        return
    assert sorted(order) == sorted(derived)
    done = set(known)
    for name in order:
        assert derived[name].names <= done
        done.add(name)
