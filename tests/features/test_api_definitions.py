"""GET definitions/: the registry, with how many customers have a value and how old it is."""

import pytest

from features.coverage import coverages
from tests.api_client import ApiClient
from tests.factories import make_customer, url_of

URL = "/api/v1/definitions/"


@pytest.fixture(autouse=True)
def measured_anew() -> None:
    coverages.forget()


def by_name(api: ApiClient) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in api.get(URL).json()["results"]}


def test_a_definition_says_what_it_means_and_may_be(api: ApiClient) -> None:
    row = by_name(api)["engagement_score"]
    assert (row["feature_type"], row["unit"], row["minimum"], row["maximum"]) == ("behavioral", "share", 0.0, 1.0)
    assert (row["versions"], row["since_version"]) == (["1.0"], "1.0")


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
