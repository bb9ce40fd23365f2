"""Requirements of a version before it is computed and read, and of a definition before it is added to one."""

from collections.abc import Iterable, Mapping

from django.db import DatabaseError, connection, transaction
from psycopg.errors import QueryCanceled

from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import listed
from features.formulas.behavioral import BEHAVIORAL_FEATURES
from features.formulas.expressions import Expression, computation_order, parse
from features.lifecycle.steps import VersionState
from features.materialization.isolation import active_customers, is_of_the_statement, try_to_aggregate
from features.models import FeatureDefinition, FeatureType, FeatureVersion
from features.registry.contents import Registry
from features.registry.snapshot import as_windowed

# Of all readable versions together. Each is three columns of a statement, and PostgreSQL takes 1,664.
MOST_WINDOWED = 300
SECONDS_OF_A_TRIAL = 5


def check_can_be_computed(version: FeatureVersion, *, known: Registry) -> None:
    """Raise InvalidError unless FeatureHub can compute the version; the error says what is missing first."""
    definitions = list(version.definitions.all())
    if not definitions:
        raise InvalidError(f"{version} has no feature yet: add one first.")
    if version.feature_type == FeatureType.BEHAVIORAL:
        check_are_computed(definitions)
        check_can_be_aggregated(definitions, known=known)
    if version.feature_type == FeatureType.DERIVED:
        check_expressions(definitions, inputs=version.inputs, known=known)


def check_are_computed(definitions: Iterable[FeatureDefinition]) -> None:
    """Raise InvalidError for behavioral features that are neither windows nor computed by a formula."""
    lacking = [row.name for row in definitions if not row.kind and row.name not in BEHAVIORAL_FEATURES]
    if lacking:
        raise InvalidError(f"Nothing computes {', '.join(lacking)}: no kind is chosen, and no formula has that name.")


def check_can_be_aggregated(definitions: Iterable[FeatureDefinition], *, known: Registry) -> None:
    """Raise InvalidError unless PostgreSQL aggregates these windows together with those of all versions.

    One statement aggregates the windows of all versions, so that one that fails would hold up every version. It is run
    for the customers that were computed last.
    """
    windows = {row.name: as_windowed(row) for row in definitions if row.kind}
    together = {feature.name: feature for feature in known.windowed} | windows
    if len(together) > MOST_WINDOWED:
        raise InvalidError(
            f"With it, the readable versions would have {len(together)} windowed features, and {MOST_WINDOWED} is the "
            "most: retire a version first, or take features out."
        )
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"set local statement_timeout = '{SECONDS_OF_A_TRIAL}s'")
            customer_ids = active_customers()
            try_to_aggregate(together, customer_ids=customer_ids)
            cursor.execute("set local statement_timeout = default")
    except DatabaseError as error:
        if not (is_of_the_statement(error) or isinstance(error.__cause__, QueryCanceled)):
            raise
        raise InvalidError(
            f"PostgreSQL can't aggregate its features for the {len(customer_ids)} customers that were computed last: "
            f"{str(error).strip()}. Take features out until it can."
        ) from error


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
    usable = names_of_inputs(inputs, known=known)
    for name, expression in expressions.items():
        refuse_features_of_elsewhere(name, uses=expression.names - usable - set(expressions))
    computation_order(expressions, known=usable)
    return expressions


def refuse_features_of_elsewhere(name: str, *, uses: Iterable[str]) -> None:
    """Raise InvalidError for a name that is a feature, but not of this version or its inputs; it says where it is."""
    elsewhere = FeatureDefinition.objects.filter(name__in=uses).prefetch_related("versions").order_by("name").first()
    if elsewhere is not None:
        sentence = f"{name} uses {elsewhere.name}, which is {where_it_is(elsewhere)}"
        raise InvalidError(sentence, attr="expression")


def where_it_is(definition: FeatureDefinition) -> str:
    """Return in which versions a feature is, and what to do to have it here."""
    versions = [version for version in definition.versions.all() if version.state != VersionState.RETIRED]
    if definition.feature_type == FeatureType.DERIVED:
        return "a derived feature that this version does not have: add it here."
    if not versions:
        return "in no version: add it to a draft, and put that into shadow."
    readable = [version for version in versions if version.state != VersionState.DRAFT]
    if not readable:
        return f"in the draft {versions[0]} only: put that into shadow, then choose it as an input here."
    return f"in {listed([str(version) for version in readable])}, which is no input here: choose it as one."


def names_of_inputs(inputs: Mapping[str, str], *, known: Registry) -> set[str]:
    """Return the names that expressions may use. Raise InvalidError for a version that can't be read."""
    for feature_type, number in inputs.items():
        if (feature_type, number) not in known.views:
            raise InvalidError(f"Its input {feature_type}:{number} can't be read: choose another.", attr="inputs")
    return {name for key in inputs.items() for name in known.views[key].names}
