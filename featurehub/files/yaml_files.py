"""Read YAML whose every part knows its line, and write YAML that is read back as the same values.

Of YAML 1.2, what has one meaning: mappings with text as keys, sequences, text, numbers, true, false and null. So `no`
and `on` are text here, and aliases and tags are refused.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from featurehub.lib.errors import InvalidError

# The steps to a part of a document: ("definitions", "churn_score", "tags", 0).
YamlPlace: TypeAlias = tuple[str | int, ...]
TEXT_TAG, NULL_TAG, BOOL_TAG, INT_TAG, FLOAT_TAG = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "null", "bool", "int", "float")
)
PLAIN_SCALARS = {
    NULL_TAG: (r"^(?:null|~|)$", ["n", "~", ""]),
    BOOL_TAG: (r"^(?:true|false)$", ["t", "f"]),
    INT_TAG: (r"^[-+]?[0-9]+$", list("-+0123456789")),
    FLOAT_TAG: (r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
}
MOST_DIGITS = 400
LARGEST_WHOLE = 1e15
WIDTH = 120


class WrongYamlError(InvalidError):
    """A text that is not YAML as it is taken here: a `sentence` about the `line` that is wrong."""

    code = "wrong_yaml"

    def __init__(self, sentence: str, *, line: int) -> None:
        super().__init__(f"line {line}: {sentence}")
        self.sentence, self.line = sentence, line


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The values of a document, and the line of each part: of a member of a mapping that of its key, from 1."""

    value: Any
    lines: Mapping[YamlPlace, int]

    def line_of(self, place: YamlPlace) -> int:
        """Return the line of a part; of one that is not there that of what would hold it."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)


class PlainLoader(yaml.SafeLoader):
    """Composes nodes with the plain scalars of YAML 1.2; no aliases, so that a document is as large as its text."""

    yaml_implicit_resolvers = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise WrongYamlError("Aliases (*) are not taken: write the value out.", line=self.line + 1)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


class PlainDumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or 1.2 would read as something else; text of several lines is a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Return the node of a text: a block where it has several lines that a block can hold."""
    is_block = "\n" in text and all(line.isprintable() and line == line.strip() for line in text.split("\n"))
    return dumper.represent_scalar(TEXT_TAG, text, style="|" if is_block else None)


for _tag, (_pattern, _first) in PLAIN_SCALARS.items():
    for _kind in (PlainLoader, PlainDumper):
        _kind.add_implicit_resolver(_tag, re.compile(_pattern), _first)
PlainDumper.add_representer(str, text_node)


def read_yaml(text: str) -> YamlDocument:
    """Return the document. Raise WrongYamlError for a text that is not YAML, and for a key that is there twice."""
    lines: dict[YamlPlace, int] = {}
    try:
        node = PlainLoader(text).get_single_node()
        value = None if node is None else node_value(node, place=(), lines=lines)
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise WrongYamlError(f"This is not YAML: {error.problem or error.context}.", line=line) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise WrongYamlError("This is not YAML: it has a character that no YAML has.", line=line) from None
    except RecursionError:
        raise WrongYamlError("This is nested too deeply.", line=1) from None
    return YamlDocument(value, lines)


def node_value(node: yaml.Node, *, place: YamlPlace, lines: dict[YamlPlace, int]) -> Any:
    """Return the value of a node, and note the lines of all its parts."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        return members_of(node, place=place, lines=lines)
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [node_value(part, place=(*place, number), lines=lines) for number, part in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return scalar_of(node)
    raise WrongYamlError(f"The tag {node.tag} is not taken: leave it out.", line=node.start_mark.line + 1)


def members_of(node: yaml.MappingNode, *, place: YamlPlace, lines: dict[YamlPlace, int]) -> dict[str, Any]:
    """Return the members of a mapping. Raise WrongYamlError for a key that is there twice, or is no word or number."""
    members: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or "\n" in key.value or key.tag not in (TEXT_TAG, *PLAIN_SCALARS):
            raise WrongYamlError("A key is text of one line.", line=line)
        # A key is taken as it is written: `on`, `null` and `1.10` are names.
        name = stored_text(key.value, line=line)
        if name in members:
            raise WrongYamlError(f"{name} is there twice, first in line {lines[(*place, name)]}.", line=line)
        lines[(*place, name)] = line
        members[name] = node_value(value, place=(*place, name), lines=lines)
    return members


def scalar_of(node: yaml.ScalarNode) -> Any:
    """Return text, a number, true, false or null. Raise WrongYamlError for a number that is too large for a double."""
    text, line = node.value, node.start_mark.line + 1
    if node.tag == TEXT_TAG:
        return stored_text(text, line=line)
    if node.tag not in PLAIN_SCALARS or not re.match(PLAIN_SCALARS[node.tag][0], text):
        raise WrongYamlError(f"The tag {node.tag} is not taken: leave it out.", line=line)
    if node.tag in (NULL_TAG, BOOL_TAG):
        return None if node.tag == NULL_TAG else text == "true"
    number = float(text) if len(text) <= MOST_DIGITS else math.inf
    if not math.isfinite(number):
        raise WrongYamlError("The number is too large.", line=line)
    return int(text) if node.tag == INT_TAG and abs(number) < LARGEST_WHOLE else number


def stored_text(text: str, *, line: int) -> str:
    """Return a text that PostgreSQL can store. Raise WrongYamlError for one with NUL, or with half a character."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise WrongYamlError("The text has a character that can't be stored.", line=line)
    return text


def yaml_text(value: Any) -> str:
    """Return a value of mappings, lists, text, numbers, true, false and null as YAML, in the order of its keys."""
    text: str = yaml.dump(
        with_whole_numbers(value), Dumper=PlainDumper, sort_keys=False, allow_unicode=True, width=WIDTH
    )
    return text


def with_whole_numbers(value: Any) -> Any:
    """Return the value with 100 in place of 100.0, as people write it."""
    if isinstance(value, dict):
        return {key: with_whole_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [with_whole_numbers(part) for part in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE
    return int(value) if is_whole else value
