"""The registry can't drift from the formulas unnoticed."""

import pytest
from django.core.checks import run_checks

from features.formulas import BEHAVIORAL
from features.models import FeatureDefinition, FeatureVersion

pytestmark = pytest.mark.django_db


def found() -> dict[str, str]:
    return {message.id: message.msg for message in run_checks(databases=["default"]) if "features." in str(message.id)}


def test_the_first_definitions_are_what_the_formulas_compute() -> None:
    assert found() == {}


def test_a_definition_that_no_formula_computes_is_named() -> None:
    invented = FeatureDefinition.objects.create(name="mood", feature_type="behavioral")
    FeatureVersion.objects.get(feature_type="behavioral").definitions.add(invented)
    assert found() == {"features.E001": "behavioral:1.0 registers mood, which no formula computes."}


def test_a_formula_that_is_not_registered_is_named() -> None:
    FeatureVersion.objects.get(feature_type="behavioral").definitions.through.objects.filter(
        featuredefinition__name=BEHAVIORAL[0]
    ).delete()
    assert found()["features.E002"].startswith(f"behavioral:1.0 does not register {BEHAVIORAL[0]}")
