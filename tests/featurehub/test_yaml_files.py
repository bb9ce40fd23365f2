"""YAML with lines: what is read and refused, and that what is written is read back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurehub.files.yaml_files import WrongYamlError, read_yaml, yaml_text

# What PostgreSQL can store: no NUL, and no half of a surrogate pair.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
KEYS = TEXTS.filter(lambda text: "\n" not in text)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(KEYS, parts, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert read_yaml(yaml_text(value)).value == value


@pytest.mark.parametrize(
    "text", ["no", "on", "1e5", "1.10", "0x1F", "1:30", "~", "null", "2026-01-01", "<<", "=", "*x", ""]
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert read_yaml(yaml_text({text: text})).value == {text: text}


def test_plain_words_are_those_of_yaml_1_2() -> None:
    found = read_yaml("{a: no, b: on, c: yes, d: true, e: null, f: 010, g: 1e3, h: 2026-01-01, on: 1}")
    assert found.value == {
        "a": "no", "b": "on", "c": "yes", "d": True, "e": None, "f": 10, "g": 1000.0, "h": "2026-01-01", "on": 1,
    }  # fmt: skip


def test_every_part_has_its_line() -> None:
    found = read_yaml("a:\n  b:\n    - 1\n    - c: 2\n\nd: |\n  x\n  y\ne: 3\n")
    assert found.lines == {
        (): 1, ("a",): 1, ("a", "b"): 2, ("a", "b", 0): 3, ("a", "b", 1): 4, ("a", "b", 1, "c"): 4,
        ("d",): 6, ("e",): 9,
    }  # fmt: skip
    assert found.line_of(("a", "b", 1, "z", 5)) == 4
    assert read_yaml("").line_of(("a",)) == 1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3", 3, "a is there twice, first in line 1."),
        ("a:\n  x: 1\n  x: 2", 3, "x is there twice, first in line 2."),
        ("'on': 1\non: 2", 2, "on is there twice"),
        ("a: &x 1\nb: *x", 2, "Aliases (*) are not taken"),
        ("a: [1,\nb: 2", 2, "This is not YAML"),
        ("a: 1\n\tb: 2", 2, "This is not YAML"),
        ("a: 1\n---\nb: 2", 2, "This is not YAML"),
        ("a: !!python/object:os.system x", 1, "The tag tag:yaml.org,2002:python/object:os.system is not taken"),
        ("a: !!int x", 1, "The tag tag:yaml.org,2002:int is not taken"),
        ("a: !!set {x}", 1, "The tag tag:yaml.org,2002:set is not taken"),
        ("\n? [1]\n: 2", 2, "A key is text of one line."),
        ("\n? |\n  x\n  y\n: 2", 2, "A key is text of one line."),
        ('\na: "x\\0"', 2, "The text has a character that can't be stored."),
        ('\na: "\\ud800"', 2, "The text has a character that can't be stored."),
        ("a: 1\nb: \x01", 2, "it has a character that no YAML has"),
        ("a: 1\nb: 1e999", 2, "The number is too large."),
        ("a: " + "9" * 5_000, 1, "The number is too large."),
        ("[" * 5_000, 1, "This is nested too deeply."),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(WrongYamlError) as refused:
        read_yaml(text)
    assert refused.value.line == line
    assert f"line {line}: " in refused.value.detail
    assert words in refused.value.detail


def test_aliases_of_aliases_take_no_memory() -> None:
    levels = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12))
    with pytest.raises(WrongYamlError, match="line 2: Aliases"):
        read_yaml(f"x0: &x0 a\n{levels}")
