"""The store in process: the four calls, their asynchronous twins, and their cost."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django_redis import get_redis_connection

from featurehub.lib.errors import InvalidError, UnknownError
from features.lifecycle.feature_sets import make_feature_set
from features.serving.feature_store import FeatureStore
from tests.factories import ago, make_customer

pytestmark = pytest.mark.usefixtures("committed")
store = FeatureStore()


def set_cart(value: float, **fields: object) -> dict[str, object]:
    return store.set_customer_features("c1", {"cart_value": value}, feature_type="contextual", version="1.0", **fields)


def test_a_cached_read_has_the_values_and_says_where_from() -> None:
    make_customer("c1", page_view=3)
    values = store.get_customer_features("c1", ["page_views_30d", "nonsense"])
    assert values.features == {"page_views_30d": 3.0, "nonsense": 0.0}
    assert values.missing == {"nonsense": "unknown"}
    assert values.source == "cache"
    assert values.computed_at is not None


def test_many_customers_come_in_the_order_asked() -> None:
    make_customer("c1", page_view=1)
    make_customer("c2", page_view=2)
    answers = store.get_features_of_customers(["c2", "c1", "nobody", "c2"], ["page_views_30d"])
    assert [answer.customer_id for answer in answers] == ["c2", "c1", "nobody", "c2"]
    assert [answer.features["page_views_30d"] for answer in answers] == [2.0, 1.0, 0.0, 2.0]
    assert [answer.source for answer in answers] == ["cache", "cache", "database", "cache"]


def test_a_set_takes_the_place_of_names_and_versions() -> None:
    make_customer("c1", page_view=3)
    names = ["page_views_30d", "engagement_score"]
    made = str(make_feature_set("churn_model", names=names).feature_set)
    values = store.get_customer_features("c1", feature_set=made)
    assert (values.feature_set, values.versions, values.source) == (made, {"behavioral": "1.0"}, "cache")
    assert list(values.features) == names
    assert values.features == store.get_customer_features("c1", names).features
    assert [each.features for each in store.get_features_of_customers(["c1"], feature_set=made)] == [values.features]
    with pytest.raises(InvalidError, match="either a set, or names and versions"):
        store.get_customer_features("c1", names, feature_set=made)
    with pytest.raises(UnknownError, match="churn_model has the number 1"):
        store.get_customer_features("c1", feature_set="churn_model:2")


def test_redis_and_postgresql_give_the_same_answer() -> None:
    make_customer("c1", page_view=3, purchase=1)
    cached = store.get_customer_features("c1")
    get_redis_connection("default").delete("customer_features:c1")
    stored = store.get_customer_features("c1")
    assert (cached.source, stored.source) == ("cache", "database")
    assert stored.features == cached.features
    assert stored.missing == cached.missing
    assert stored.computed_at == cached.computed_at


def test_values_are_set_and_read_back_and_stand_in_the_history() -> None:
    set_cart(12.5, timestamp=ago(minutes=1))
    set_cart(20.0)
    assert store.get_customer_features("c1", ["cart_value"]).features == {"cart_value": 20.0}
    history = store.get_feature_history("c1", "cart_value")
    assert [row.features["cart_value"] for row in history] == [20.0, 12.5]
    assert len(store.get_feature_history("c1", "cart_value", limit=1)) == 1
    assert store.get_feature_vector("c1")["features"]["cart_value"] == 20.0


def test_what_can_not_be_is_refused_in_the_words_of_the_services() -> None:
    with pytest.raises(InvalidError):
        set_cart(float("nan"))
    with pytest.raises(UnknownError):
        store.get_feature_history("c1", "nonsense")
    with pytest.raises(UnknownError):
        store.get_customer_features("c1", versions=["behavioral:9.9"])


def test_each_call_has_an_asynchronous_twin() -> None:
    make_customer("c1", page_view=3)

    async def read() -> None:
        await store.aset_customer_features("c1", {"cart_value": 7.0}, feature_type="contextual", version="1.0")
        values = await store.aget_customer_features("c1", ["page_views_30d", "cart_value"])
        assert values.features == {"page_views_30d": 3.0, "cart_value": 7.0}
        assert [answer.source for answer in await store.aget_features_of_customers(["c1"], ["cart_value"])] == ["cache"]
        assert len(await store.aget_feature_history("c1", "cart_value")) == 1
        assert (await store.aget_feature_vector("c1"))["customer_id"] == "c1"
        await sync_to_async(connections.close_all)()

    asyncio.run(read())


def test_a_connection_that_redis_closed_is_replaced_without_a_word() -> None:
    make_customer("c1", page_view=3)
    store.get_customer_features("c1")
    get_redis_connection("default").execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    for _ in range(2):
        assert store.get_customer_features("c1", ["page_views_30d"]).source == "cache"
