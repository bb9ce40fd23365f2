"""Definitions: what is wrong with one, by field, for forms and for files, and how one is stored."""

import keyword
import math
from collections.abc import Iterator
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction

from featurehub.lib.errors import InvalidError
from features.formulas.behavioral import BEHAVIORAL_FEATURES
from features.formulas.expressions import FUNCTIONS, parse
from features.lifecycle.steps import lock_versions
from features.models import FeatureDefinition, FeatureType
from features.models.definitions import LIST_PLACES
from features.registry.snapshot import registry_snapshot
from features.registry.window_text import WINDOWS_ALLOWED

# The fields that say how a feature of each type is computed. A trigger fixes them once a version past draft has it.
WINDOW = ("kind", "event_type", "category", "metadata_key", "window_hours", "half_life_days")
MEANING = {FeatureType.BEHAVIORAL.value: WINDOW, FeatureType.DERIVED.value: ("expression",)}
KINDS_WITH_HALF_LIFE = (FeatureDefinition.Kind.COUNT, FeatureDefinition.Kind.SUM, FeatureDefinition.Kind.MEAN)


class FieldProblem(NamedTuple):
    """A sentence about a field of a definition that is wrong."""

    field: str
    sentence: str


def problems_of_definition(definition: FeatureDefinition) -> list[FieldProblem]:
    """Return what is wrong with a definition by itself, which need not be saved; none where it is right."""
    problems = list(problems_of_fields(definition))
    if definition.feature_type == FeatureType.BEHAVIORAL and definition.name not in BEHAVIORAL_FEATURES:
        problems += problems_of_window(definition)
    if definition.feature_type == FeatureType.DERIVED:
        problems += problems_of_expression(definition)
    problems += problems_of_other_types(definition)
    least, most = definition.minimum, definition.maximum
    if least is not None and most is not None and least > most:
        problems.append(FieldProblem("maximum", "The maximum is at least the minimum."))
    return problems


def problems_of_fields(definition: FeatureDefinition) -> Iterator[FieldProblem]:
    """Yield what the validators of the fields say, and that a name is a word of expressions."""
    try:
        definition.clean_fields()
    except ValidationError as error:
        for field, sentences in error.message_dict.items():
            yield FieldProblem(field, sentences[0])
    if is_word_of_expressions(definition.name):
        yield FieldProblem("name", f"{definition.name} is a word of expressions: choose another name.")


def is_word_of_expressions(name: str) -> bool:
    """Return whether an expression could not use a feature of this name."""
    return name in FUNCTIONS or keyword.iskeyword(name)


def problems_of_window(definition: FeatureDefinition) -> Iterator[FieldProblem]:
    """Yield what is missing or wrong in the fields of a windowed feature."""
    kind, half_life = definition.kind, definition.half_life_days
    if not kind:
        yield FieldProblem("kind", "Choose what is computed of the events.")
    if definition.window_hours is None:
        yield FieldProblem("window_hours", f"Say how far back events count. {WINDOWS_ALLOWED}")
    if kind not in ("", FeatureDefinition.Kind.COUNT) and not definition.metadata_key:
        yield FieldProblem("metadata_key", "Say which metadata key, such as amount.")
    if kind == FeatureDefinition.Kind.COUNT and definition.metadata_key:
        yield FieldProblem("metadata_key", "A count has no metadata key: leave it out.")
    if half_life is not None and not (half_life > 0 and math.isfinite(half_life)):
        yield FieldProblem("half_life_days", "A half-life is a number of days greater than 0.")
    if half_life is not None and kind not in KINDS_WITH_HALF_LIFE:
        yield FieldProblem("half_life_days", "Counts, sums and means have a half-life, others have none: leave it out.")


def problems_of_expression(definition: FeatureDefinition) -> Iterator[FieldProblem]:
    """Yield what is wrong with the form of a derived feature's expression, whatever its names are."""
    if not definition.expression:
        yield FieldProblem("expression", "Say how it is computed from other features.")
        return
    try:
        parse(definition.expression)
    except InvalidError as error:
        yield FieldProblem("expression", error.detail)


def problems_of_other_types(definition: FeatureDefinition) -> Iterator[FieldProblem]:
    """Yield the fields that a feature of this type, or one of the formulas, does not have."""
    of_type = set(MEANING.get(definition.feature_type, ()))
    if definition.name in BEHAVIORAL_FEATURES and not definition.kind:
        of_type = {"kind"}
    for field in (*WINDOW, "expression"):
        if field not in of_type and getattr(definition, field) not in ("", None):
            yield FieldProblem(field, f"A {definition.feature_type} feature of this name has none: leave it out.")


def store_definition(definition: FeatureDefinition) -> None:
    """Insert a definition, or change the one of its name to it.

    Raises InvalidError where its place in customer lists is taken. The caller keeps what a version past draft has: a
    trigger refuses another meaning.
    """
    with transaction.atomic():
        lock_versions()
        check_place_is_free(definition)
        stored = FeatureDefinition.objects.filter(name=definition.name).first()
        if stored is not None:
            definition.pk, definition._state.adding = stored.pk, False
        definition.save()
        transaction.on_commit(registry_snapshot.forget)


def check_place_is_free(definition: FeatureDefinition) -> None:
    """Raise InvalidError where another definition has its place in customer lists."""
    if definition.list_place is None:
        return
    others = FeatureDefinition.objects.exclude(name=definition.name)
    taken = others.filter(list_place=definition.list_place).first()
    if taken is not None:
        place = f"{taken} has the place {taken.list_place} in customer lists"
        raise InvalidError(f"{place}: choose another of 1 to {LIST_PLACES}, or none.", attr="list_place")
