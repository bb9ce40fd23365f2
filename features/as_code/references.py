"""Check what the parts of a definitions file say of each other, and of what is registered already.

A part that is registered just so is not checked: it is right.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeVar

from featurehub.files.yaml_files import YamlPlace
from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import listed
from featurehub.lib.suggestions import did_you_mean
from features.as_code.contents import definition_of
from features.as_code.parsing import FileProblem, ParsedFile
from features.as_code.shapes import (
    KEY_OF_FIELD,
    DefinitionEntry,
    DefinitionsFile,
    Entry,
    FeatureSetEntry,
    VersionEntry,
    WeightsEntry,
)
from features.formulas.expressions import computation_order, parse
from features.lifecycle.definitions import problems_of_definition
from features.models import WRITTEN_BY_CLIENTS, FeatureType
from features.registry.contents import parse_pin

Checked = TypeVar("Checked", bound=Entry)


class FileChecker:
    """Checks a file beside `here`, what is registered: what the file does not name is taken from there."""

    def __init__(self, parsed: ParsedFile, *, here: DefinitionsFile) -> None:
        self.parsed, self.here, self.file = parsed, here, parsed.contents
        self.event_types = {**here.event_types, **self.file.event_types}
        self.definitions = {**here.definitions, **self.file.definitions}
        self.versions = {**here.versions, **self.file.versions}

    def problems(self) -> list[FileProblem]:
        """Return all problems of the file; none where it can be taken."""
        return [
            *self.of_section("definitions", self.file.definitions, self.here.definitions, self.of_definition),
            *self.of_section("versions", self.file.versions, self.here.versions, self.of_version),
            *self.of_section("sets", self.file.sets, self.here.sets, self.of_set),
            *self.of_section("weights", self.file.weights, self.here.weights, self.of_weights),
        ]

    def of_section(
        self,
        section: str,
        entries: Mapping[str, Checked],
        here: Mapping[str, Checked],
        check: Callable[[str, Checked], Iterator[tuple[YamlPlace, str]]],
    ) -> Iterator[FileProblem]:
        """Yield the problems of a section's members that are not registered just so."""
        for key, entry in entries.items():
            if here.get(key) != entry:
                yield from (self.parsed.problem((section, key, *steps), why) for steps, why in check(key, entry))

    def of_definition(self, name: str, entry: DefinitionEntry) -> Iterator[tuple[YamlPlace, str]]:
        """Yield what is wrong with a definition, with the steps to the wrong part."""
        if entry.event_type and entry.event_type not in self.event_types:
            yield ("event_type",), no_such("event type", entry.event_type, self.event_types)
        try:
            definition = definition_of(name, entry)
        except InvalidError as error:
            yield ("window",), error.detail
            return
        for problem in problems_of_definition(definition):
            yield (KEY_OF_FIELD.get(problem.field, problem.field),), problem.sentence

    def of_version(self, pin: str, entry: VersionEntry) -> Iterator[tuple[YamlPlace, str]]:
        """Yield what is wrong with a version, with the steps to the wrong part."""
        feature_type, _ = parse_pin(pin)
        yield from self.of_features(entry.features)
        for place, name in enumerate(entry.features):
            known = self.definitions.get(name)
            if known is not None and known.type != feature_type:
                yield ("features", place), f"{name} is a {known.type} feature: it can't be in {pin}."
        yield from self.of_inputs(entry, feature_type=feature_type)
        if feature_type == FeatureType.DERIVED:
            yield from self.of_expressions(entry)

    def of_features(self, names: list[str]) -> Iterator[tuple[YamlPlace, str]]:
        """Yield the features that there are not, and those that are there twice."""
        times = Counter(names)
        for place, name in enumerate(names):
            if name not in self.definitions:
                yield ("features", place), no_such("feature", name, self.definitions)
            elif times[name] > 1 and names.index(name) < place:
                yield ("features", place), f"{name} is there twice: leave it out here."

    def of_inputs(self, entry: VersionEntry, *, feature_type: str) -> Iterator[tuple[YamlPlace, str]]:
        """Yield what is wrong with the versions that a version is computed from."""
        if feature_type != FeatureType.DERIVED and entry.inputs:
            yield ("inputs",), "Only derived versions are computed from others: leave it out."
            return
        for place, pin in enumerate(entry.inputs):
            input_type, _ = parse_pin(pin)
            if pin not in self.versions:
                yield ("inputs", place), no_such("version", pin, self.versions)
            elif input_type == FeatureType.DERIVED:
                yield ("inputs", place), f"{pin} is derived itself: add its features to this version instead."
            elif any(parse_pin(other)[0] == input_type for other in entry.inputs[:place]):
                yield ("inputs", place), f"There is a {input_type} version before it: choose one of each type."

    def of_expressions(self, entry: VersionEntry) -> Iterator[tuple[YamlPlace, str]]:
        """Yield the expression that can't be computed from the inputs; none where something else is wrong already."""
        inputs = [self.versions[pin] for pin in entry.inputs if pin in self.versions]
        usable = {name for version in inputs for name in version.features} | self.written_anywhere()
        texts = {name: self.definitions[name].expression for name in entry.features if name in self.definitions}
        try:
            expressions = {name: parse(text) for name, text in texts.items() if text}
            computation_order(expressions, known=usable)
        except InvalidError as error:
            yield ("features",), f"{error.detail} Its inputs are {listed(entry.inputs) if entry.inputs else 'none'}."

    def written_anywhere(self) -> set[str]:
        """Return the features that clients write and that are in no version: they belong to the live ones."""
        named = {name for version in self.versions.values() for name in version.features}
        return {name for name, known in self.definitions.items() if known.type in WRITTEN_BY_CLIENTS} - named

    def of_set(self, pin: str, entry: FeatureSetEntry) -> Iterator[tuple[YamlPlace, str]]:
        """Yield the features and versions of a set that there are not."""
        yield from self.of_features(entry.features)
        for place, version in enumerate(entry.versions):
            if version not in self.versions:
                yield ("versions", place), no_such("version", version, self.versions)

    def of_weights(self, pin: str, entry: WeightsEntry) -> Iterator[tuple[YamlPlace, str]]:
        """Yield what is wrong with weights, with the steps to the wrong part."""
        if parse_pin(pin)[0] != FeatureType.BEHAVIORAL:
            yield (), "Only behavioral versions have weights: leave it out."
        elif pin not in self.versions:
            yield (), no_such("version", pin, self.versions)
        for name in entry.event_types:
            if name not in self.event_types:
                yield ("event_types", name), no_such("event type", name, self.event_types)
        if not any(row.weight for row in entry.event_types.values()):
            yield ("event_types",), "All weights are zero, so every customer would score 0: give one a weight above 0."


def no_such(kind: str, name: str, there_are: Collection[str]) -> str:
    """Return that something is neither in the file nor registered, with the nearest name or what to do."""
    what = did_you_mean(name, there_are) or " Add it to the file, or correct the name."
    return f"There is no {kind} {name}, here or in the file.{what}"
