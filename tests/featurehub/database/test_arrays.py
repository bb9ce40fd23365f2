"""Lists as parameters of statements: PostgreSQL gets the same array, written at once or element by element."""

from typing import Any

import pytest
from django.db import DataError, connection
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.django_db
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
INTEGERS = st.integers(-(2**63), 2**63 - 1)


def returned(values: list[Any], kind: str) -> list[Any]:
    """Return the elements that PostgreSQL sees."""
    with connection.cursor() as cursor:
        cursor.execute(f"select unnest(%s::{kind}[])", [values])
        return [value for (value,) in cursor.fetchall()]


@given(st.lists(st.one_of(TEXTS, st.sampled_from(["NULL", "", " ", '"', "\\", "{}", "a,b", "'", "%s", '","']))))
def test_texts_arrive_as_they_are(texts: list[str]) -> None:
    assert returned(texts, "text") == texts


@given(st.lists(st.one_of(st.none(), TEXTS)))
def test_nulls_among_texts_stay_nulls(texts: list[str | None]) -> None:
    assert returned(texts, "text") == texts


@given(st.lists(st.one_of(INTEGERS, st.none())))
def test_numbers_arrive_as_they_are(numbers: list[int | None]) -> None:
    assert returned(numbers, "bigint") == numbers


@given(st.lists(st.one_of(st.floats(allow_nan=False), st.none())))
def test_doubles_arrive_to_the_last_bit(numbers: list[float | None]) -> None:
    assert returned(numbers, "float8") == numbers


def test_what_is_not_a_number_stays_so_and_is_no_null() -> None:
    number, nothing, infinite = returned([float("nan"), None, float("-inf")], "float8")
    assert (number != number, nothing, infinite) == (True, None, float("-inf"))


def test_a_whole_number_that_no_column_holds_is_refused() -> None:
    with pytest.raises(DataError, match="out of range"):
        returned([2**64], "bigint")


def test_a_text_with_a_nul_is_refused() -> None:
    with pytest.raises(DataError, match="NUL"):
        returned(["a\0b"], "text")
