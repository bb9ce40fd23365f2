"""GET /api/v1/customers/: filtered, sorted, page by page; refusals that name what is wrong."""

from typing import Any
from urllib.parse import quote

import pytest

from featurehub.access.models import Scope
from features.materialization import client_values, customer_lists
from tests.api_client import ApiClient
from tests.factories import ago, make_client, make_customer, make_purchase

URL = "/api/v1/customers/"


def ask(api: ApiClient, *, order: str | None = None, where: tuple[str, ...] = (), **others: Any) -> Any:
    parameters = [*([("order", order)] if order else []), *(("where", each) for each in where), *others.items()]
    return api.get(URL + "?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters))


def make_three() -> None:
    make_customer("low", page_view=5)
    make_customer("high", page_view=50, events=[make_purchase(amount=500.0, timestamp=ago(days=3))])
    make_customer("middle", page_view=20, events=[make_purchase(timestamp=ago(days=12))])


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["customer_id"] for row in answer.json()["results"]]


def test_customers_are_sorted_and_filtered(api: ApiClient) -> None:
    make_three()
    assert ids(ask(api)) == ["high", "low", "middle"]
    assert ids(ask(api, order="-engagement_score")) == ["high", "middle", "low"]
    assert ids(ask(api, where=("engagement_score>=0.05", "days_since_purchase<=7"))) == ["high"]
    assert ids(ask(api, where=("!days_since_purchase",))) == ["low"]


def test_a_row_has_the_listed_features_and_those_of_the_conditions(api: ApiClient) -> None:
    make_three()
    client_values.set_customer_features("low", feature_type="customer", version="1.0", features={"loyalty_tier": 2})
    answer = ask(api, order="-engagement_score", where=("!loyalty_tier,page_views_30d>1",)).json()
    row = answer["results"][0]
    assert list(row) == ["customer_id", "features", "days_since_purchase", "days_since_seen"]
    assert list(row["features"]) == [
        "engagement_score",
        "rfm_score",
        "recency_score",
        "frequency_score",
        "monetary_score",
        "loyalty_tier",
        "page_views_30d",
    ]
    assert (row["features"]["page_views_30d"], row["features"]["loyalty_tier"]) == (50.0, None)
    assert row["days_since_purchase"] == pytest.approx(3.0, abs=0.01)
    assert answer["as_of"].endswith("Z")


def test_pages_are_linked_and_keep_their_moment(api: ApiClient) -> None:
    make_three()
    first = ask(api, order="-recency_score", limit=2).json()
    second = api.get(first["next"].removeprefix("http://testserver")).json()
    assert [row["customer_id"] for row in first["results"] + second["results"]] == ["high", "middle", "low"]
    assert (second["next"], second["as_of"]) == (None, first["as_of"])


def test_it_says_how_much_of_the_lists_is_filled_in(api: ApiClient) -> None:
    make_three()
    run = customer_lists.begin_filling()
    assert run is not None
    assert ask(api).json()["filled"] == 0.0
    while customer_lists.fill_next(run):
        pass
    assert ask(api).json()["filled"] == 1.0


@pytest.mark.parametrize(
    ("parameters", "attr", "detail"),
    [
        ({"order": "engagment_score"}, "order", "Did you mean engagement_score?"),
        ({"order": "page_views_30d"}, "order", "page_views_30d is not listed"),
        ({"where": ("pets>1",)}, "where", "There is no live feature pets."),
        ({"where": ("engagement_score",), "limit": 0}, "limit", "1 to 1000"),
        ({"where": ("engagement_score!!",)}, "where", "no condition"),
        ({"cursor": "older-1-2"}, "cursor", "not valid"),
    ],
)
def test_what_is_wrong_is_named(api: ApiClient, parameters: dict[str, Any], attr: str, detail: str) -> None:
    answer = ask(api, **parameters)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["attr"] == attr
    assert detail in error["detail"]


def test_the_key_needs_the_scope_read(db: None) -> None:
    assert ask(make_client(Scope.INGEST)).status_code == 403
