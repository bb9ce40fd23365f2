"""A value that PostgreSQL does not have any more is gone from Redis, within one version, and does not come back."""

import pytest

from features.lifecycle import version_steps, weight_set_steps
from features.materialization import refresh
from features.materialization.client_values import set_customer_features
from features.materialization.rescore import rescore
from features.models import FeatureDefinition
from features.online.publish import current_hashes, publish
from features.online.store import write_hashes
from features.serving.feature_store import get_feature_values
from tests.factories import cached, make_customer, make_version, make_weight_set, rows_of

pytestmark = pytest.mark.usefixtures("db")
SHADOW = ":derived:2.0"


def write(**features: float) -> None:
    set_customer_features("c1", feature_type="contextual", version="1.0", features=features)
    refresh.refresh_dirty()


def make_shadow(**expressions: str) -> None:
    """Put a derived version into shadow that has these features alone."""
    made = {name: {"expression": expression} for name, expression in expressions.items()}
    version = make_version("derived", **made)
    version.definitions.remove(FeatureDefinition.objects.get(name="rfm_score"))
    version_steps.put_into_shadow(version.pk, by=None, reason="A test")


def features_in(hash_: dict[str, str]) -> set[str]:
    return {name for name in hash_ if not name.startswith("_")}


def test_one_of_several_derived_values_that_is_gone_is_gone_for_readers() -> None:
    make_version("derived", carts={"expression": "1 / cart_value"}, state="live")
    make_customer("c1", page_view=1)
    write(cart_value=2)
    assert cached("c1")["carts"] == "0.5"
    write(cart_value=0)
    assert "carts" not in cached("c1")
    values = get_feature_values(["c1"], names=["carts", "rfm_score"])[0]
    assert (values.missing, values.source) == ({"carts": "no_value"}, "cache")


def test_derived_values_of_which_none_is_left_are_gone_for_readers() -> None:
    make_shadow(carts="1 / cart_value")
    make_customer("c1", page_view=1)
    write(cart_value=2)
    assert cached("c1", SHADOW)["carts"] == "0.5"
    write(cart_value=0)
    assert features_in(cached("c1", SHADOW)) == set()
    values = get_feature_values(["c1"], names=["carts"], versions=["derived:2.0"])[0]
    assert (values.missing, values.source) == ({"carts": "no_value"}, "cache")


def test_a_publication_that_comes_late_does_not_bring_them_back() -> None:
    make_shadow(carts="1 / cart_value")
    make_customer("c1", page_view=1)
    write(cart_value=2)
    late = current_hashes(["c1"])
    write(cart_value=0)
    write_hashes(late)
    assert features_in(cached("c1", SHADOW)) == set()


def test_a_publication_that_comes_late_deletes_nothing_that_is_newer() -> None:
    make_shadow(carts="1 / cart_value")
    make_customer("c1", page_view=1)
    write(cart_value=0)
    late = current_hashes(["c1"])
    write(cart_value=2)
    write_hashes(late)
    assert cached("c1", SHADOW)["carts"] == "0.5"


def test_new_weights_that_leave_no_derived_value_delete_it() -> None:
    make_shadow(engaged="where(engagement_score > 0.001, 1, 0 / 0)")
    make_customer("c1", page_view=1)
    assert cached("c1", SHADOW)["engaged"] == "1.0"
    weights = {"page_view": (0.0, 100.0)}
    run = weight_set_steps.activate(make_weight_set(weights=weights).pk, by=None, reason="Go")
    while rescore(run):
        pass
    assert features_in(cached("c1", SHADOW)) == set()


def test_publishing_anew_what_is_gone_changes_nothing() -> None:
    make_shadow(carts="1 / cart_value", twice="cart_value * 2")
    make_customer("c1", page_view=1)
    write(cart_value=2)
    write(cart_value=0)
    held = cached("c1", SHADOW)
    publish(["c1"])
    assert cached("c1", SHADOW) == held
    assert features_in(held) == {"twice"}


def test_the_history_says_that_they_are_gone() -> None:
    make_shadow(carts="1 / cart_value")
    make_customer("c1", page_view=1)
    for cart_value in (2, 0, 0, 4):
        write(cart_value=cart_value)
    assert [row.features for row in rows_of("c1", "derived") if row.version == "2.0"] == [
        {"carts": 0.5},
        {},
        {"carts": 0.25},
    ]
