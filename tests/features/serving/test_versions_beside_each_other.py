"""Readable versions of a type: all are computed, published and readable; going live is one switch for readers."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from features.lifecycle import version_steps
from features.lifecycle import weight_set_steps as weights
from features.materialization import refresh, renewal, rescore
from features.models import CustomerFeature, FeatureDefinition, FeatureVersion, Renewal
from features.online import store
from features.online.publish import publish
from features.registry.weight_sets import active_set
from features.serving.feature_store import FeatureStore
from features.serving.render import Values
from tests.api_client import ApiClient
from tests.factories import (
    ago,
    cached,
    forget_registry,
    make_client,
    make_customer,
    make_definition,
    make_event,
    make_purchase,
    make_version,
    make_weight_set,
    rows_of,
    store_events,
    url_of,
)

pytestmark = pytest.mark.django_db
SCORE = "engagement_score"
OF_CONTEXT = {"feature_type": "contextual", "version": "1.0"}


def read(*pins: str, names: list[str] | None = None, customer_id: str = "c1") -> Values:
    return FeatureStore().get_customer_features(customer_id, names, versions=pins)


def of_2(customer_id: str = "c1") -> dict[str, str]:
    """Return the hash of behavioral 2.0."""
    return cached(customer_id, ":behavioral:2.0")


def without(name: str) -> FeatureVersion:
    """Make a behavioral 2.0 in shadow that has all of 1.0 but one feature."""
    version = make_version()
    version.definitions.remove(FeatureDefinition.objects.get(name=name))
    version_steps.put_into_shadow(version.pk, by=None, reason="A test")
    version.runs.update(state="done")
    return version


def go_live(version: FeatureVersion) -> None:
    """Take the version live at once, instead of at the moment when every process knows of it."""
    version_steps.go_live(version.pk, by=None, reason="A test")
    FeatureVersion.objects.filter(pk=version.pk).update(live_from=ago(seconds=1))
    forget_registry()


def test_a_version_in_shadow_is_computed_and_published_beside_the_live_one() -> None:
    without("category_preferences")
    make_customer("c1", page_view=3, purchase=1)
    (row,) = CustomerFeature.objects.filter(customer_id="c1", version="2.0")
    (live,) = rows_of("c1")[:1]
    assert row.features == {name: value for name, value in live.features.items() if name != "category_preferences"}
    assert row.metadata["weight_set"] == active_set("2.0").pk != live.metadata["weight_set"]
    assert of_2()["page_views_30d"] == cached("c1")["page_views_30d"] == "3.0"
    assert "category_preferences" in cached("c1")
    assert "category_preferences" not in of_2()


def test_it_is_read_by_those_who_ask_for_it() -> None:
    without("category_preferences")
    make_customer("c1", page_view=3)
    names = ["page_views_30d", "category_preferences", "rfm_score"]
    live, pinned = read(names=names), read("2.0", names=names)
    assert live.versions == {"behavioral": "1.0", "derived": "1.0"}
    assert pinned.versions == {"behavioral": "2.0", "derived": "1.0"}
    assert (live.missing, pinned.missing) == ({}, {"category_preferences": "unknown"})
    assert pinned.features == live.features
    assert (live.source, pinned.source) == ("cache", "cache")


def test_all_names_are_those_of_the_versions_read() -> None:
    without("category_preferences")
    make_customer("c1", page_view=3)
    assert set(read().features) - set(read("behavioral:2.0").features) == {"category_preferences"}


def test_a_version_has_weights_of_its_own() -> None:
    make_version(state="shadow")
    make_customer("c1", page_view=10)
    before = read(names=[SCORE]).features[SCORE]
    other = make_weight_set(version=FeatureVersion.objects.get(number="2.0"), weights={"page_view": (0.9, 100)})
    run = weights.activate(other.pk, by=None, reason="More for page views")
    while rescore.rescore(run):
        pass
    assert read(names=[SCORE]).features[SCORE] == before == pytest.approx(0.03)
    assert read("2.0", names=[SCORE]).features[SCORE] == pytest.approx(0.09)
    store_events(make_event())
    refresh.refresh_dirty()
    assert read("2.0", names=[SCORE]).features[SCORE] == pytest.approx(0.099)
    vector = FeatureStore().get_feature_vector("c1")
    assert vector["metadata"]["weight_set"] == active_set("1.0").pk


def test_a_pinned_reader_sees_nothing_of_another_version_that_goes_live() -> None:
    version = without("category_preferences")
    make_customer("c1", events=[make_purchase(category="a")], page_view=3)
    before = read("1.0")
    go_live(version)
    in_between = read("1.0")
    publish(["c1"])
    after = read("1.0")
    assert before.features == in_between.features == after.features
    assert "category_preferences" in after.features
    assert {before.source, in_between.source, after.source} == {"cache"}


def test_at_the_switch_readers_are_answered_from_redis() -> None:
    version = without("category_preferences")
    make_customer("c1", events=[make_purchase(category="a")], page_view=3)
    go_live(version)
    read("1.0")  # loads the registry
    with CaptureQueriesContext(connection) as queries:
        live, pinned = read(), read("1.0")
    assert len(queries) == 0
    assert (live.versions["behavioral"], pinned.versions["behavioral"]) == ("2.0", "1.0")
    assert "category_preferences" not in live.features


def test_after_the_switch_the_refresh_puts_the_versions_where_they_belong() -> None:
    version = without("category_preferences")
    make_customer("c1", events=[make_purchase(category="a")], page_view=3)
    go_live(version)
    Renewal.objects.update(due_at=ago(seconds=1))
    while renewal.renew():
        pass
    assert cached("c1")["_behavioral"].endswith(" 2.0")
    assert "category_preferences" not in cached("c1")
    assert cached("c1", ":behavioral:1.0")["category_preferences"] == "1.0"
    assert cached("c1", ":behavioral:1.0")["_behavioral"].endswith(" 1.0")


def test_a_switch_waits_until_every_process_knows_of_it() -> None:
    version = make_version(state="shadow")
    version_steps.go_live(version.pk, by=None, reason="A test")
    forget_registry()
    make_customer("c1", page_view=1)
    assert read().versions["behavioral"] == "1.0"
    assert cached("c1")["_behavioral"].endswith(" 1.0")


def test_the_way_back_is_a_switch_too() -> None:
    version = make_version(state="live")
    make_customer("c1", page_view=1)
    assert read().versions["behavioral"] == "2.0"
    go_live(FeatureVersion.objects.get(feature_type="behavioral", number="1.0"))
    assert (read().versions["behavioral"], read("2.0").versions["behavioral"]) == ("1.0", "2.0")
    version.refresh_from_db()
    assert version.state == "deprecated"


def test_a_retired_version_is_neither_computed_nor_read() -> None:
    make_version(state="retired")
    make_customer("c1", page_view=1)
    assert not CustomerFeature.objects.filter(version="2.0").exists()
    answer = make_client().get(url_of("c1") + "?version=2.0")
    sentence = "There is no readable version 2.0; the readable ones are behavioral:1.0."
    assert (answer.status_code, answer.json()["errors"][0]["detail"]) == (404, sentence)


def test_a_customer_without_values_of_a_version_is_remembered_as_such() -> None:
    make_version(state="shadow")
    read("2.0", customer_id="nobody")
    values = read("2.0", names=["page_views_30d"], customer_id="nobody")
    assert (values.source, values.missing) == ("cache", {"page_views_30d": "no_value"})


def test_an_erased_customer_is_gone_from_every_versions_hash() -> None:
    make_version(state="shadow")
    make_customer("c1", page_view=1)
    assert make_client("write").delete(url_of("c1", "")).status_code == 200
    assert (cached("c1").keys(), of_2().keys()) == ({"_erased"}, {"_erased"})


def test_an_id_that_ends_like_a_version_has_hashes_of_its_own() -> None:
    make_version(state="shadow")
    make_customer("c1", page_view=1)
    make_customer("c1:behavioral:2.0", page_view=7)
    assert read("2.0", names=["page_views_30d"]).features == {"page_views_30d": 1.0}
    for _ in range(2):
        values = read(names=["page_views_30d"], customer_id="c1:behavioral:2.0")
        assert (values.features, values.source) == ({"page_views_30d": 7.0}, "cache")


# --- Versions of the types that clients write -------------------------------------------------------------------------
@pytest.fixture
def api() -> ApiClient:
    return make_client("read", "write")


def patch(api: ApiClient, features: dict[str, float], **fields: Any) -> Any:
    return api.patch(url_of("c1"), {**OF_CONTEXT, "features": features, **fields})


def test_values_are_written_into_the_version_named(api: ApiClient) -> None:
    make_version("contextual", coupons={}, state="shadow")
    assert patch(api, {"coupons": 2}).json()["errors"][0]["attr"] == "features.coupons"
    assert patch(api, {"coupons": 2}, version="2.0").status_code == 200
    assert patch(api, {"cart_value": 9}).status_code == 200
    assert read(names=["coupons", "cart_value"]).features == {"coupons": 0.0, "cart_value": 9.0}
    pinned = read("contextual:2.0", names=["coupons", "cart_value"])
    assert (pinned.features, pinned.missing) == ({"coupons": 2.0, "cart_value": 0.0}, {"cart_value": "no_value"})


def test_what_clients_may_write_is_in_the_live_version_once_it_is_registered(api: ApiClient) -> None:
    make_definition("wishes", "contextual")
    forget_registry()
    assert patch(api, {"wishes": 3}).status_code == 200
    assert read(names=["wishes"]).features == {"wishes": 3.0}


def test_values_expire(api: ApiClient) -> None:
    FeatureVersion.objects.filter(feature_type="contextual").update(time_to_live=3600)
    forget_registry()
    names = ["cart_value", "page_views_30d"]
    make_customer("c1", page_view=1)
    patch(api, {"cart_value": 9}, timestamp=ago(minutes=59).isoformat())
    assert read(names=names).features == {"cart_value": 9.0, "page_views_30d": 1.0}
    FeatureVersion.objects.filter(feature_type="contextual").update(time_to_live=1800)
    forget_registry()
    values = read(names=names)
    assert (values.features, values.missing) == ({"cart_value": 0.0, "page_views_30d": 1.0}, {"cart_value": "expired"})
    assert values.computed_at is not None
    assert values.computed_at > ago(minutes=1)


def test_a_name_without_a_value_has_its_default() -> None:
    FeatureDefinition.objects.filter(name="loyalty_tier").update(default=1.0)
    forget_registry()
    values = read(names=["loyalty_tier", "tenure_days"], customer_id="nobody")
    assert values.features == {"loyalty_tier": 1.0, "tenure_days": 0.0}
    assert values.missing == {"loyalty_tier": "no_value", "tenure_days": "no_value"}


# --- Derived values ---------------------------------------------------------------------------------------------------
def test_derived_values_follow_what_clients_write(api: ApiClient) -> None:
    make_version("derived", warm_cart={"expression": "cart_value * recency_score"}, state="shadow")
    make_customer("c1", events=[make_purchase(timestamp=ago(days=15))])
    assert read("derived:2.0", names=["warm_cart"]).missing == {"warm_cart": "no_value"}
    patch(api, {"cart_value": 100})
    assert read("derived:2.0", names=["warm_cart"]).features["warm_cart"] == pytest.approx(50, rel=1e-4)
    refresh.refresh_dirty()
    (row,) = CustomerFeature.objects.filter(feature_type="derived", version="2.0", features__has_key="warm_cart")
    assert row.features["warm_cart"] == pytest.approx(50, rel=1e-4)
    patch(api, {"cart_value": 50})
    refresh.refresh_dirty()
    rows = CustomerFeature.objects.filter(feature_type="derived", version="2.0", features__has_key="warm_cart")
    assert [round(row.features["warm_cart"]) for row in rows.order_by("id")] == [50, 25]


def test_a_derived_version_reads_the_versions_it_was_made_for() -> None:
    make_version(state="live")
    changed = make_weight_set(version=FeatureVersion.objects.get(number="2.0"), weights={"purchase": (0.3, 1)})
    weights.activate(changed.pk, by=None, reason="A test")
    make_version("derived", state="shadow")
    make_customer("c1", events=[make_purchase(amount=0)])
    before, after = read(names=["rfm_score"]), read("derived:2.0", names=["rfm_score"])
    assert before.features["rfm_score"] == pytest.approx((1 + 0.1) / 3, abs=1e-4)
    assert after.features["rfm_score"] == pytest.approx((1 + 1) / 3, abs=1e-4)


def test_derived_values_come_from_derived_values() -> None:
    make_version(
        "derived", half={"expression": "quarter * 2"}, quarter={"expression": "page_views_30d / 4"}, state="shadow"
    )
    make_customer("c1", page_view=8)
    values = read("derived:2.0", names=["half", "quarter"])
    assert values.features == {"half": 4.0, "quarter": 2.0}


def test_redis_can_lose_every_version() -> None:
    make_version(state="shadow")
    make_customer("c1", page_view=4)
    get_redis_connection("default").flushdb()
    assert read("2.0", names=["page_views_30d"]).source == "database"
    assert read("2.0", names=["page_views_30d"]).source == "cache"
    assert store.seconds_left("c1") is not None
