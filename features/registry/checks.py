"""A system check: each feature that is registered as computed has a formula, a window or an expression."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.db import connections

from features.formulas.behavioral import BEHAVIORAL_FEATURES


def check_behavioral_definitions(*, databases: Sequence[str] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each difference between the registry and the code.

    Run by `migrate` and `check --database`.
    """
    messages: list[CheckMessage] = []
    for alias in databases or ():
        if is_migrated(alias):
            messages += registry_errors(alias)
    return messages


def is_migrated(alias: str) -> bool:
    """Return whether the table of definitions has the columns that the check reads.

    It may not, because `migrate` checks before it migrates.
    """
    definitions = apps.get_model("features", "FeatureDefinition")  # models can't be imported before the apps are ready
    connection, table = connections[alias], definitions._meta.db_table
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return False
        columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
    return {"kind", "expression"} <= columns


def registry_errors(alias: str) -> Iterator[CheckMessage]:
    """Yield an error for each difference between the registry and the code.

    Definitions that are in drafts only are checked when a version goes into shadow.
    """
    definitions = apps.get_model("features", "FeatureDefinition").objects.using(alias)
    started = apps.get_model("features", "FeatureVersion").objects.using(alias).exclude(state="draft")
    in_use = definitions.filter(versions__in=started).distinct()
    without_kind = in_use.filter(feature_type="behavioral", kind="").values_list("name", flat=True)
    if names := sorted(set(without_kind) - set(BEHAVIORAL_FEATURES)):
        yield error("Registered as behavioral, but computed by no formula", names, number="E001")
    registered = definitions.filter(feature_type="behavioral", kind="").values_list("name", flat=True)
    if names := sorted(set(BEHAVIORAL_FEATURES) - set(registered)):
        yield error("Computed by a formula, but not registered", names, number="E002")
    without_expression = in_use.filter(feature_type="derived", expression="").values_list("name", flat=True)
    if names := sorted(without_expression):
        yield error("Registered as derived, but without an expression", names, number="E003")


def error(what: str, names: Collection[str], *, number: str) -> Error:
    return Error(
        f"{what}: {', '.join(names)}.", hint="Correct the registry in a data migration.", id=f"features.{number}"
    )
