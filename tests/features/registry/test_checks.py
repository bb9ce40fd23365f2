"""System checks: the registry can't deviate from the formulas unnoticed."""

from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection

from features.formulas.behavioral import BEHAVIORAL_FEATURES
from tests.factories import make_definition, make_version

pytestmark = pytest.mark.django_db
# Contents that the rules refuse, but that a change of the code could leave behind.
RULES = "alter table features_featureversion_definitions {what} trigger user"


def found() -> dict[str, str]:
    return {message.id: message.msg for message in run_checks(databases=["default"]) if "features." in str(message.id)}


def slip(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(RULES.format(what="disable"))
        cursor.execute(statement, parameters)
        cursor.execute("set constraints all immediate")
        cursor.execute(RULES.format(what="enable"))


def put_into(version: str, name: str) -> None:
    slip(
        """
        insert into features_featureversion_definitions (featureversion_id, featuredefinition_id)
        select version.id, definition.id from features_featureversion version, features_featuredefinition definition
        where version.feature_type || ':' || number = %s and name = %s
        """,
        version,
        name,
    )


def test_the_first_definitions_are_what_the_formulas_compute() -> None:
    assert found() == {}


def test_windowed_and_derived_definitions_are_no_drift() -> None:
    make_version("behavioral", logins_7d={"event_type": "login"}, state="shadow")
    make_version("derived", mood={"expression": "recency_score * 2"}, state="shadow")
    assert found() == {}


def test_a_definition_that_no_formula_computes_is_named() -> None:
    make_definition("mood", "behavioral", kind="")
    assert found() == {}
    put_into("behavioral:1.0", "mood")
    assert found() == {"features.E001": "Registered as behavioral, but computed by no formula: mood."}


def test_a_formula_that_is_not_registered_is_named() -> None:
    slip("delete from features_featureversion_definitions")
    slip("delete from features_featuredefinition where name = %s", BEHAVIORAL_FEATURES[0])
    assert found() == {"features.E002": f"Computed by a formula, but not registered: {BEHAVIORAL_FEATURES[0]}."}


def test_a_derived_definition_without_an_expression_is_named() -> None:
    make_definition("mood", "derived")
    put_into("derived:1.0", "mood")
    assert found() == {"features.E003": "Registered as derived, but without an expression: mood."}


def test_a_database_that_is_older_than_the_check_is_not_asked() -> None:
    with connection.cursor() as cursor:
        cursor.execute("alter table features_featuredefinition rename expression to formula")
    assert found() == {}
