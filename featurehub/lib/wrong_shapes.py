"""Say in the words of JSON what is wrong with a value of another shape than it must have."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import inspect

from featurehub.lib.clock import MOMENT_EXAMPLE
from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import listed

# msgspec's names of types, which are Python's.
JSON_KINDS = {
    "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "an array",
    "object": "an object", "null": "null", "datetime": "a moment in ISO 8601",
}  # fmt: skip
PARTS_OF_SHAPES = {"str": "character", "array": "member", "object": "member"}
BOUNDS = {">=": "of at least", "<=": "of at most", ">": "greater than", "<": "less than"}
A_MOMENT = f"It must be a moment in ISO 8601 with an offset, such as {MOMENT_EXAMPLE}."
SENTENCES = {
    "Invalid RFC3339 encoded datetime": A_MOMENT,
    "Expected `datetime` with a timezone component": A_MOMENT,
    "Number out of range": "The number is too large.",
}
# A wrong value is repeated up to this length.
LONGEST_REPEATED = 60
ANY_KEY = "[...]"


def wrong_shape(error: msgspec.ValidationError, *, wanted: Any, found: object = None) -> InvalidError:
    """Return the InvalidError for msgspec's "… - at `$.events[3].timestamp`", with attr `events.3.timestamp`.

    `wanted` is the type that was wanted; the sentence lists its values where there are but a few. msgspec does not name
    the member of an object with free keys. With `found`, the value that was given, `attr` names it; without, `attr` is
    the object's.
    """
    detail, _, place = str(error).partition(" - at ")
    of_key, path = place.startswith("`key`"), place.rpartition("$")[2].rstrip("`")
    allowed = allowed_values(wanted, path, of_key=of_key)
    if ANY_KEY in path:
        path = with_key(path, wanted=wanted, found=found)
    attr = re.sub(r"\[(\d+)\]", r".\1", path).lstrip(".")
    absent = re.fullmatch(r"Object missing required field `(\w+)`", detail)
    if absent:
        return InvalidError("This field is required.", attr=".".join(filter(None, [attr, absent[1]])), code="required")
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", detail, re.DOTALL)
    if unknown:
        attr = ".".join(filter(None, [attr, unknown[1]]))
        return InvalidError(
            "There is no such field: correct its name or leave it out.", attr=attr, code="unknown_field"
        )
    sentence = none_of(allowed, detail=detail, of_key=of_key) if allowed else shape_in_words(detail)
    return InvalidError(sentence, attr=attr or None)


def shape_in_words(detail: str) -> str:
    """Return msgspec's sentence in the words of JSON."""
    if kinds := re.fullmatch(r"Expected `(.+)`, got `(\w+)`", detail):
        wanted = listed([kind_in_words(name) for name in kinds[1].split(" | ")], last="or")
        return f"It must be {wanted}, not {kind_in_words(kinds[2])}."
    if bound := re.fullmatch(r"Expected `(\w+)`( of length)? (>=|<=|>|<) (\S+)", detail):
        limit = f"{float(bound[4]):g}"
        part = f" {PARTS_OF_SHAPES.get(bound[1], 'member')}{'' if limit == '1' else 's'}" if bound[2] else ""
        return f"It must be {kind_in_words(bound[1])} {BOUNDS[bound[3]]} {limit}{part}."
    return SENTENCES.get(detail, f"{detail}.")


def kind_in_words(name: str) -> str:
    return JSON_KINDS.get(name, name)


def none_of(allowed: Sequence[str], *, detail: str, of_key: bool) -> str:
    """Return that a value, or the key of an object, must be one of those that are allowed."""
    value = detail.removeprefix("Invalid enum value ")
    is_value = value != detail and len(value) <= LONGEST_REPEATED
    subject = "Its keys must be" if of_key else "It must be"
    return f"{subject} {listed(allowed, last='or')}{f', not {value}' if is_value else ''}."


def allowed_values(wanted: Any, path: str, *, of_key: bool) -> list[str]:
    """Return the values that the type allows at the path, or for the keys there; none where they are not a few."""
    part: inspect.Type | None = type_info(wanted)
    for step in re.findall(r"\[.+?\]|[^.\[\]]+", path):
        part = None if part is None else member_type(part, step)
    if of_key and isinstance(part, inspect.DictType):
        part = part.key_type
    return [str(value) for value in part.values] if isinstance(part, inspect.LiteralType) else []


# Each call makes thousands of objects that refer to each other; an import asks for every rejected row.
@lru_cache(maxsize=64)
def type_info(wanted: Any) -> inspect.Type:
    """Return msgspec's description of a type."""
    return inspect.type_info(wanted)


def member_type(part: inspect.Type, step: str) -> inspect.Type | None:
    """Return the type of a field, of a list's members (`[3]`) or of an object's (`[...]`); None where there is none."""
    plain = part.type if isinstance(part, inspect.Metadata) else part
    if isinstance(plain, inspect.UnionType):
        return next((found for choice in plain.types if (found := member_type(choice, step)) is not None), None)
    if isinstance(plain, inspect.StructType):
        found = next((field.type for field in plain.fields if field.encode_name == step), None)
    elif isinstance(plain, inspect.ListType):
        found = plain.item_type
    else:
        found = plain.value_type if isinstance(plain, inspect.DictType) else None
    return found.type if isinstance(found, inspect.Metadata) else found


def with_key(path: str, *, wanted: Any, found: object) -> str:
    """Return the path with the key of a wrong member in place of `[...]`; the path of the object where there is none.

    The object is a part of the value, such as `rows[3].features`. Its members are halved until one is left that is
    wrong by itself.
    """
    place, _, rest = path.lstrip(".").partition(ANY_KEY)
    steps = [int(index) if index else name for index, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", place)]
    members = part_at(found, steps)
    if not isinstance(members, dict):
        return place

    def has_wrong_one(keys: Sequence[Any]) -> bool:
        return has_wrong_member(with_part(found, steps, {key: members[key] for key in keys}), wanted=wanted)

    keys = list(members)
    while len(keys) > 1:
        half = keys[: len(keys) // 2]
        keys = half if has_wrong_one(half) else keys[len(half) :]
    return f"{place}.{keys[0]}{rest}" if has_wrong_one(keys) else place


def part_at(value: Any, steps: Sequence[Any]) -> Any:
    """Return the part of a value in JSON's types at the end of the steps; None where there is none."""
    for step in steps:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step]
        else:
            return None
    return value


def with_part(value: Any, steps: Sequence[Any], part: object) -> Any:
    """Return the value with another part at the end of the steps."""
    if not steps:
        return part
    changed = value.copy()
    changed[steps[0]] = with_part(value[steps[0]], steps[1:], part)
    return changed


def has_wrong_member(value: object, *, wanted: Any) -> bool:
    """Return whether the value is refused for a member of an object with free keys."""
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        return ANY_KEY in str(error)
    return False
