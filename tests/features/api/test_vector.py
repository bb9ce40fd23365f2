"""GET /api/v1/customers/{id}/vector/."""

from datetime import datetime
from typing import Any

from django_redis import get_redis_connection

from features.models import FeatureDefinition
from tests.api_client import ApiClient
from tests.factories import make_customer, rows_of, url_of
from tests.redis_commands import redis_commands

ALL_VERSIONS = {"behavioral": "1.0", "contextual": "1.0", "customer": "1.0", "derived": "1.0"}


def get(api: ApiClient, customer_id: str = "c1") -> dict[str, Any]:
    response = api.get(url_of(customer_id, "vector/"))
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def test_every_live_value_is_given(api: ApiClient) -> None:
    make_customer("c1", page_view=3, purchase=1)
    body = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 9.5}, "metadata": {"by": "shop"}}
    api.patch(url_of("c1"), body)
    vector = get(api)
    assert set(vector["features"]) == set(FeatureDefinition.objects.values_list("name", flat=True))
    assert {name: vector["features"][name] for name in ("page_views_30d", "purchases_30d", "cart_value")} == {
        "page_views_30d": 3.0,
        "purchases_30d": 1.0,
        "cart_value": 9.5,
    }
    assert vector["missing"] == dict.fromkeys(("items_in_cart", "loyalty_tier", "tenure_days"), "no_value")
    assert (vector["customer_id"], vector["feature_type"], vector["version"]) == ("c1", "vector", "1.0")
    assert (vector["versions"], vector["source"]) == (ALL_VERSIONS, "cache")
    assert vector["metadata"]["weight_set"] == rows_of("c1")[0].metadata["weight_set"]
    assert vector["metadata"]["by"] == "shop"


def test_what_a_client_writes_beside_its_values_does_not_hide_the_weight_set(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    body = {"feature_type": "customer", "version": "1.0", "features": {"tenure_days": 1}, "metadata": {"weight_set": 0}}
    api.patch(url_of("c1"), body)
    assert get(api)["metadata"]["weight_set"] == rows_of("c1")[0].metadata["weight_set"]


def test_cache_and_database_give_the_same_vector(api: ApiClient) -> None:
    make_customer("c1", page_view=3, purchase=1)
    vectors = [get(api)]
    get_redis_connection("default").delete("customer_features:c1")
    vectors += [get(api), get(api)]
    assert [vector.pop("source") for vector in vectors] == ["cache", "database", "cache"]
    assert vectors[0] == vectors[1] == vectors[2]
    assert datetime.fromisoformat(vectors[0]["timestamp"]) >= rows_of("c1")[0].timestamp


def test_a_customer_nobody_has_heard_of_has_zeros(api: ApiClient) -> None:
    for source in ("database", "cache"):
        vector = get(api)
        assert set(vector["features"].values()) == {0.0}
        assert set(vector["missing"]) == set(vector["features"])
        assert (vector["timestamp"], vector["metadata"], vector["source"]) == (None, {}, source)


def test_a_vector_is_one_command(api: ApiClient, django_assert_num_queries: Any) -> None:
    make_customer("c1", page_view=3)
    get(api)
    with django_assert_num_queries(0), redis_commands() as commands:
        get(api)
    assert [command.split()[0] for command in commands] == ["HMGET"]
