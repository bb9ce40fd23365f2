"""The registry: its first contents, and pins to versions."""

import pytest
from django.db import IntegrityError

from featurehub.lib.errors import InvalidError, UnknownError
from features.formulas.behavioral import BEHAVIORAL_FEATURES
from features.models import FeatureDefinition, FeatureVersion
from features.registry.contents import resolve_pins
from features.registry.snapshot import registry_snapshot
from tests.factories import ago, forget_registry

# Moments at which a version in this state went live.
EARLIER = {"draft": None, "shadow": None, "deprecated": ago(days=9), "retired": ago(days=9)}
TYPES = ("behavioral", "contextual", "customer", "derived")


def test_the_contracts_features_are_registered_from_the_start(db: None) -> None:
    assert {name: row.feature_type for name, row in registry_snapshot.get().definitions.items()} == {
        **dict.fromkeys(BEHAVIORAL_FEATURES, "behavioral"),
        **dict.fromkeys(("tenure_days", "loyalty_tier"), "customer"),
        **dict.fromkeys(("cart_value", "items_in_cart"), "contextual"),
        "rfm_score": "derived",
    }
    assert registry_snapshot.get().live == dict.fromkeys(TYPES, "1.0")
    assert registry_snapshot.get().views.keys() == {(name, "1.0") for name in TYPES}


def test_every_feature_says_what_it_is(db: None) -> None:
    assert [
        row.name for row in FeatureDefinition.objects.all() if not (row.description and row.owner and row.unit)
    ] == []
    assert [row.name for row in FeatureDefinition.objects.all() if row.versions.count() != 1] == []


@pytest.mark.parametrize(
    ("state", "readable"),
    [("draft", False), ("shadow", True), ("deprecated", True), ("retired", False)],
)
def test_a_version_can_be_read_in_some_of_its_states(db: None, state: str, readable: bool) -> None:
    FeatureVersion.objects.create(feature_type="behavioral", number="2.0", state=state, live_from=EARLIER[state])
    forget_registry()
    assert (("behavioral", "2.0") in registry_snapshot.get().views) is readable
    assert registry_snapshot.get().live["behavioral"] == "1.0"


def test_one_version_of_a_type_is_live(db: None) -> None:
    with pytest.raises(IntegrityError, match="version_one_live"):
        FeatureVersion.objects.create(feature_type="behavioral", number="2.0", state="live", live_from=ago(days=1))


def test_a_name_belongs_to_one_type(db: None) -> None:
    with pytest.raises(IntegrityError, match="name"):
        FeatureDefinition.objects.create(name="rfm_score", feature_type="customer")


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        ([], "1.0"),
        (["2.0"], "2.0"),
        (["behavioral:2.0", "customer:1.0"], "2.0"),
        (["2.0", "behavioral:2.0"], "2.0"),
        (["derived:1.0"], "1.0"),
    ],
)
def test_a_pinned_version_is_read_in_the_place_of_the_live_one(db: None, pins: list[str], expected: str) -> None:
    FeatureVersion.objects.create(feature_type="behavioral", number="2.0", state="shadow")
    forget_registry()
    read = {name: view.number for name, view in resolve_pins(pins, known=registry_snapshot.get()).items()}
    assert read == {**dict.fromkeys(TYPES, "1.0"), "behavioral": expected}


@pytest.mark.parametrize(
    ("pins", "error"),
    [
        (["3.0"], UnknownError),
        (["customer:2.0"], UnknownError),
        ([""], UnknownError),
        (["1.0", "2.0"], InvalidError),
        (["behavioral:1.0", "2.0"], InvalidError),
    ],
)
def test_a_pin_that_says_nothing_clear_is_refused(db: None, pins: list[str], error: type[Exception]) -> None:
    FeatureVersion.objects.create(feature_type="behavioral", number="2.0", state="shadow")
    forget_registry()
    with pytest.raises(error):
        resolve_pins(pins, known=registry_snapshot.get())
