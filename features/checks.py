"""A system check: what is registered as behavioral is what the formulas compute."""

from collections.abc import Collection, Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.db import connections

from features.formulas import BEHAVIORAL


def check_behavioral_definitions(*, databases: Sequence[str] | None, **kwargs: Any) -> list[CheckMessage]:
    """Errors where the live behavioral version and the formulas differ. Run by `migrate` and `check --database`."""
    versions = apps.get_model("features", "FeatureVersion")  # models can't be imported before the apps are ready
    messages: list[CheckMessage] = []
    for alias in databases or ():
        if versions._meta.db_table not in connections[alias].introspection.table_names():
            continue  # before the first migration
        for version in versions.objects.using(alias).filter(feature_type="behavioral", state="live"):
            names = version.definitions.using(alias).values_list("name", flat=True)
            messages += drift(str(version), registered=set(names))
    return messages


def drift(version: str, *, registered: Collection[str]) -> list[CheckMessage]:
    """An error for the names that only the version has, and one for those that only the formulas have."""
    found: list[CheckMessage] = []
    if only_registered := sorted(set(registered) - set(BEHAVIORAL)):
        text = f"{version} registers {', '.join(only_registered)}, which no formula computes."
        found.append(Error(text, hint="Take them out of the version in a data migration.", id="features.E001"))
    if only_computed := sorted(set(BEHAVIORAL) - set(registered)):
        text = f"{version} does not register {', '.join(only_computed)}, which the formulas compute."
        found.append(Error(text, hint="Add them to the version in a data migration.", id="features.E002"))
    return found
