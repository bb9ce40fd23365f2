"""Requirements of a version before it is computed and read, and of a definition before it is added to one."""

from collections.abc import Iterable, Mapping

from featurehub.lib.errors import InvalidError
from features.formulas.behavioral import BEHAVIORAL_FEATURES
from features.formulas.expressions import Expression, computation_order, parse
from features.models import FeatureDefinition, FeatureType, FeatureVersion
from features.registry.contents import Registry


def check_can_be_computed(version: FeatureVersion, *, known: Registry) -> None:
    """Raise InvalidError unless FeatureHub can compute the version; the error says what is missing first."""
    definitions = list(version.definitions.all())
    if not definitions:
        raise InvalidError(f"{version} has no feature yet: add one first.")
    if version.feature_type == FeatureType.BEHAVIORAL:
        check_are_computed(definitions)
    if version.feature_type == FeatureType.DERIVED:
        check_expressions(definitions, inputs=version.inputs, known=known)


def check_are_computed(definitions: Iterable[FeatureDefinition]) -> None:
    """Raise InvalidError for behavioral features that are neither windows nor computed by a formula."""
    lacking = [row.name for row in definitions if not row.kind and row.name not in BEHAVIORAL_FEATURES]
    if lacking:
        raise InvalidError(f"Nothing computes {', '.join(lacking)}: no kind is chosen, and no formula has that name.")


def check_expressions(
    definitions: Iterable[FeatureDefinition], *, inputs: Mapping[str, str], known: Registry
) -> dict[str, Expression]:
    """Return the definitions' expressions by name.

    Raises InvalidError for an expression that can't be computed from the inputs, for example because it uses a name
    that they do not have, or itself.
    """
    expressions: dict[str, Expression] = {}
    for row in definitions:
        if not row.expression:
            raise InvalidError(f"{row.name} has no expression, so nothing computes it.")
        expressions[row.name] = parse(row.expression)
    computation_order(expressions, known=names_of_inputs(inputs, known=known))
    return expressions


def names_of_inputs(inputs: Mapping[str, str], *, known: Registry) -> set[str]:
    """Return the names that expressions may use. Raise InvalidError for a version that can't be read."""
    for feature_type, number in inputs.items():
        if (feature_type, number) not in known.views:
            raise InvalidError(f"Its input {feature_type}:{number} can't be read: choose another.", attr="inputs")
    return {name for key in inputs.items() for name in known.views[key].names}
