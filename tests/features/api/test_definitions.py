"""GET definitions/: the registry, with each feature's coverage and freshness."""

from typing import Any

from tests.api_client import ApiClient
from tests.factories import make_customer, make_version, url_of

URL = "/api/v1/definitions/"


def by_name(api: ApiClient) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in api.get(URL).json()["results"]}


def test_a_definition_says_what_it_means_and_may_be(api: ApiClient) -> None:
    row = by_name(api)["engagement_score"]
    assert (row["feature_type"], row["unit"], row["minimum"], row["maximum"]) == ("behavioral", "share", 0.0, 1.0)
    assert (row["versions"], row["since_version"]) == (["1.0"], "1.0")


def test_a_definition_says_what_it_is_computed_from(api: ApiClient) -> None:
    spend = {
        "kind": "sum", "metadata_key": "amount", "event_type": "purchase", "category": "shoes",
        "window": "14d", "half_life_days": 7.0,
    }  # fmt: skip
    make_version("behavioral", state="shadow", spend=spend, events={}, hourly={"window": "6h"})
    rows = by_name(api)
    assert rows["spend"]["window"] == {
        "kind": "sum", "metadata_key": "amount", "event_type": "purchase", "category": "shoes",
        "length": "14d", "days": 14, "half_life_days": 7.0,
    }  # fmt: skip
    assert rows["events"]["window"] == {
        "kind": "count", "metadata_key": None, "event_type": None, "category": None, "length": "30d", "days": 30,
        "half_life_days": None,
    }  # fmt: skip
    assert (rows["hourly"]["window"]["length"], rows["hourly"]["window"]["days"]) == ("6h", None)
    assert rows["rfm_score"]["expression"] == "(recency_score + frequency_score + monetary_score) / 3"
    assert (rows["tenure_days"]["window"], rows["tenure_days"]["expression"]) == (None, None)
    assert rows["tenure_days"]["default"] == 0.0


def test_only_versions_that_can_be_read_are_named(api: ApiClient) -> None:
    make_version("customer", "2.0", state="retired", pets={})
    make_version("customer", "2.10", state="shadow", pets_too={})
    make_version("customer", "10.0")
    rows = by_name(api)
    assert (rows["tenure_days"]["versions"], rows["tenure_days"]["since_version"]) == (["1.0", "2.10"], "1.0")
    assert (rows["pets"]["versions"], rows["pets"]["since_version"]) == ([], "2.0")
    assert (rows["pets_too"]["versions"], rows["pets_too"]["since_version"]) == (["2.10"], "2.10")


def test_coverage_and_age_come_from_the_customers(api: ApiClient) -> None:
    make_customer("c1", page_view=1)
    make_customer("c2", page_view=1)
    api.patch(url_of("c1"), {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 5.0}})
    rows = by_name(api)
    assert {name: rows[name]["coverage"] for name in ("page_views_30d", "cart_value", "tenure_days")} == {
        "page_views_30d": 1.0,
        "cart_value": 0.5,
        "tenure_days": 0.0,
    }
    assert 0 <= rows["page_views_30d"]["median_age_seconds"] < 60
    assert rows["tenure_days"]["median_age_seconds"] is None


def test_without_customers_there_is_no_coverage_to_speak_of(api: ApiClient) -> None:
    assert api.get(URL).json()["sampled_customers"] == 0
    assert by_name(api)["cart_value"]["coverage"] is None
