"""The bounds on the number of keys hold for any JSON, so that no key that is given twice passes."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurehub.lib import same_keys
from featurehub.lib.errors import InvalidError
from featurehub.lib.same_keys import fewest_keys, most_keys, refuse_same_keys

texts = st.text(st.sampled_from('ab":\\ \t\n,{}é'), max_size=6)
blanks = st.sampled_from(["", " ", "\n", "\t\r"])
leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), texts)
values = st.recursive(leaves, lambda part: st.one_of(st.lists(part), st.dictionaries(texts, part)), max_leaves=20)


def keys_in(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(keys_in, value.values()))
    return sum(map(keys_in, value)) if isinstance(value, list) else 0


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """Return a value as JSON with any blanks between its parts."""

    def blank() -> str:
        return draw(blanks)

    if isinstance(value, dict):
        members = [
            f"{json.dumps(key, ensure_ascii=draw(st.booleans()))}{blank()}:{blank()}{draw(written(member))}"
            for key, member in value.items()
        ]
        return f"{{{blank()}{f'{blank()},{blank()}'.join(members)}{blank()}}}"
    if isinstance(value, list):
        return f"[{f'{blank()},{blank()}'.join([draw(written(part)) for part in value])}]"
    return json.dumps(value)


@given(data=st.data(), value=values)
def test_no_text_has_more_keys_than_the_upper_bound(data: st.DataObject, value: Any) -> None:
    assert keys_in(value) <= most_keys(data.draw(written(value)).encode())


@given(value=values)
def test_no_text_has_fewer_keys_than_the_lower_bound(value: Any) -> None:
    assert fewest_keys(orjson.dumps(value)) <= keys_in(value)


def test_of_usual_texts_both_bounds_are_the_number_of_keys() -> None:
    value = {"url": "https://a.example/?b=c:d", "at": "12:00", "n": [1.5, None, {"a b": {"c": True}}], "note": "x, y"}
    assert fewest_keys(orjson.dumps(value)) == most_keys(json.dumps(value, indent=1).encode()) == keys_in(value) == 6


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_keys_are_counted_across_blocks(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(same_keys, "BYTES_AT_ONCE", size)
    assert most_keys(b'{"a":1,"b" : [{"c"\t:"x:y"}, "z"]}') == 3
    assert fewest_keys(b'{"a":1,"b":[{"c":"x:y"},"z"]}') == 3


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"a":1,"a":1}', "a"),
        ('{"a":{"b":1,"c":2,"b":3}}', "b"),
        ('[{"a":[{"b":null,"b":null}]}]', "b"),
        ('{"a":1,"\\u0061":2}', "a"),
        ('{"":1,"":2}', ""),
        ('{"n":1e999,"n":123456789012345678901234567890}', "n"),
    ],
)
def test_a_key_that_is_given_twice_is_named(text: str, key: str) -> None:
    with pytest.raises(InvalidError, match="given twice") as caught:
        refuse_same_keys(text.encode())
    assert (caught.value.attr, caught.value.code) == (key, "duplicate_key")


@given(value=values)
def test_any_other_json_is_accepted(value: Any) -> None:
    refuse_same_keys(json.dumps(value).encode())
