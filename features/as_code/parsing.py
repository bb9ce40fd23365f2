"""Parse a definitions file: from YAML to its shapes, with the line of every part, and all problems of form at once."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from featurehub.files.yaml_files import WrongYamlError, YamlDocument, YamlPlace, read_yaml
from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import listed
from featurehub.lib.wrong_shapes import wrong_shape
from features.as_code.shapes import SECTIONS, DefinitionsFile, Entry

TOP_KEYS = ("featurehub", *SECTIONS)


@dataclass(frozen=True, slots=True, order=True)
class FileProblem:
    """A sentence about a line of a definitions file: what is wrong, and what to do."""

    line: int
    sentence: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.sentence}"


class WrongFileError(InvalidError):
    """A definitions file that can't be taken: a line for each of its problems, in the order of the file."""

    code = "wrong_file"

    def __init__(self, problems: Iterable[FileProblem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """The contents of a definitions file, and the lines of their parts."""

    contents: DefinitionsFile
    document: YamlDocument

    def problem(self, place: YamlPlace, sentence: str) -> FileProblem:
        """Return the problem of a part, at its line."""
        return FileProblem(self.document.line_of(place), f"{in_words(place)}: {sentence}")


def read_definitions(path: Path) -> str:
    """Return the text of a definitions file. Raise InvalidError for a file that can't be read, or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidError(f"It can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidError("It is not text in UTF-8: is it a YAML file?") from None


def in_words(place: YamlPlace) -> str:
    """Return the steps to a part as text: "definitions, trials_6h, window"."""
    return ", ".join(str(step) if isinstance(step, str) else f"number {step + 1}" for step in place)


def parse_definitions(text: str) -> ParsedFile:
    """Return the contents of a file of this text. Raise WrongFileError with all that is wrong with its form."""
    try:
        document = read_yaml(text)
    except WrongYamlError as error:
        raise WrongFileError([FileProblem(error.line, error.sentence)]) from None
    problems: list[FileProblem] = []
    members = mapping_at((), document, problems=problems)
    for name in members.keys() - set(TOP_KEYS):
        problems.append(unknown_key((name,), document=document, known=TOP_KEYS))
    if members.get("featurehub", 1) != 1:
        problems.append(FileProblem(document.line_of(("featurehub",)), "featurehub: The format is 1 so far: write 1."))
    sections = {name: section_of(name, document, problems=problems) for name in SECTIONS if name in members}
    if problems:
        raise WrongFileError(problems)
    return ParsedFile(msgspec.convert(sections, DefinitionsFile), document)


def section_of(name: str, document: YamlDocument, *, problems: list[FileProblem]) -> dict[str, Entry]:
    """Return the members of a section that are right; append what is wrong with the others."""
    shape, pattern, words = SECTIONS[name]
    entries: dict[str, Entry] = {}
    for key in mapping_at((name,), document, problems=problems):
        if not re.fullmatch(pattern, key, re.ASCII):
            sentence = f"{name}: The key {key} must be {words}, of lower-case letters, digits and underscores."
            problems.append(FileProblem(document.line_of((name, key)), sentence))
            continue
        before = len(problems)
        given = mapping_at((name, key), document, problems=problems)
        try:
            if len(problems) == before:
                entries[key] = msgspec.convert(given, shape)
        except msgspec.ValidationError as error:
            problems.append(problem_of_shape(error, (name, key), given=given, document=document, shape=shape))
    return entries


def mapping_at(place: YamlPlace, document: YamlDocument, *, problems: list[FileProblem]) -> Mapping[str, Any]:
    """Return the mapping at a place, an empty one where there is none; append a problem where it is another value."""
    value = document.value
    for step in place:
        value = value[step]
    if value is not None and not isinstance(value, dict):
        problems.append(FileProblem(document.line_of(place), f"{in_words(place) or 'The file'}: It must have keys."))
    return value if isinstance(value, dict) else {}


def problem_of_shape(
    error: msgspec.ValidationError,
    place: YamlPlace,
    *,
    given: Mapping[str, Any],
    document: YamlDocument,
    shape: type[Entry],
) -> FileProblem:
    """Return what is wrong with the member of a section at the place, at the line of the wrong part."""
    wrong = wrong_shape(error, wanted=shape, found=given)
    inner = (*place, *steps_of(wrong.attr or ""))
    if wrong.code == "unknown_field":
        fields = shape.__struct_fields__ if len(inner) == len(place) + 1 else ("weight", "norm")
        return unknown_key(inner, document=document, known=fields)
    if wrong.code == "required":
        return FileProblem(document.line_of(inner), f"{in_words(place)}: The key {inner[-1]} is required: add it.")
    return FileProblem(document.line_of(inner), f"{in_words(inner)}: {wrong.detail}")


def steps_of(attr: str) -> tuple[str | int, ...]:
    """Return the steps of a path such as "features.3" or "event_types.purchase.norm"."""
    return tuple(int(step) if step.isdecimal() else step for step in attr.split(".") if step)


def unknown_key(place: YamlPlace, *, document: YamlDocument, known: Iterable[str]) -> FileProblem:
    """Return the problem of a key that there is not, with the nearest one that there is."""
    key, names = str(place[-1]), list(known)
    close = get_close_matches(key, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {listed(names)}."
    where = f"{in_words(place[:-1])}: " if place[:-1] else ""
    return FileProblem(document.line_of(place), f"{where}There is no key {key}: {hint}")
