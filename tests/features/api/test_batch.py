"""POST /api/v1/features/batch/."""

from typing import Any

import pytest
from django_redis import get_redis_connection

from tests.api_client import ApiClient, error_of
from tests.away import redis_away
from tests.factories import make_customer, url_of
from tests.redis_commands import redis_commands

BATCH = "/api/v1/features/batch/"


def body(**fields: Any) -> dict[str, Any]:
    return {"customer_ids": ["c1", "c2"], "names": ["page_views_30d"], **fields}


def post(api: ApiClient, **fields: Any) -> list[dict[str, Any]]:
    response = api.post(BATCH, body(**fields))
    assert response.status_code == 200, response.content
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_each_result_is_what_reading_that_customer_alone_gives(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    make_customer("ünï-客", purchase=2)
    names = ["purchases_30d", "foo", "page_views_30d", "tenure_days"]
    results = post(api, customer_ids=["ünï-客", "c1", "nobody"], names=names)
    for result in results:
        alone = api.get(url_of(result["customer_id"]), {"names": ",".join(names)}).json()
        for answer in (result, alone):
            answer.pop("age_seconds")
            answer.pop("source")
        assert result == alone
        assert list(result["features"]) == names


def test_customers_are_answered_in_the_order_asked_also_twice(api: ApiClient) -> None:
    make_customer("c1", page_view=1)
    make_customer("c2", page_view=2)
    asked = ["c2", "c3", "c1", "c2"]
    results = post(api, customer_ids=asked)
    assert [result["customer_id"] for result in results] == asked
    assert [result["features"]["page_views_30d"] for result in results] == [2.0, 0.0, 1.0, 2.0]


def test_each_customer_has_a_source_of_its_own(api: ApiClient) -> None:
    make_customer("c1", page_view=1)
    make_customer("c2", page_view=2)
    get_redis_connection("default").delete("customer_features:c2")
    assert [result["source"] for result in post(api)] == ["cache", "database"]
    assert [result["source"] for result in post(api)] == ["cache", "cache"]


def test_with_redis_away_postgresql_answers(api: ApiClient) -> None:
    make_customer("c1", page_view=1)
    with redis_away():
        results = post(api)
    assert [(result["source"], result["features"]["page_views_30d"]) for result in results] == [
        ("database", 1.0),
        ("database", 0.0),
    ]


def test_a_thousand_customers_are_one_read_each_from_redis_and_none_from_postgresql(
    api: ApiClient, django_assert_num_queries: Any
) -> None:
    customer_ids = [make_customer("c1", page_view=1), *(f"n{number}" for number in range(999))]
    api.get(url_of("c1"))
    with django_assert_num_queries(1):
        assert {result["source"] for result in post(api, customer_ids=customer_ids)} == {"cache", "database"}
    with django_assert_num_queries(0), redis_commands() as commands:
        assert {result["source"] for result in post(api, customer_ids=customer_ids)} == {"cache"}
    assert [command.split()[:2] for command in commands] == [
        ["HMGET", f"customer_features:{customer_id}"] for customer_id in customer_ids
    ]


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"customer_ids": []}, "customer_ids"),
        ({"customer_ids": ["c"] * 1_001}, "customer_ids"),
        ({"customer_ids": "c1"}, "customer_ids"),
        ({"customer_ids": None}, "customer_ids"),
        ({"customer_ids": ["c1", 2]}, "customer_ids.1"),
        ({"customer_ids": ["c1", ""]}, "customer_ids.1"),
        ({"customer_ids": ["c1", "c2", "a/b"]}, "customer_ids.2"),
        ({"customer_ids": ["x" * 129]}, "customer_ids.0"),
        ({"customer_ids": ["\x00"]}, "customer_ids.0"),
        ({"names": []}, "names"),
        ({"names": ["n"] * 501}, "names"),
        ({"names": "page_views_30d"}, "names"),
        ({"names": [None]}, "names.0"),
        ({"version": 1.0}, "version"),
        ({"version": {}}, "version"),
        ({"version": [1]}, "version.0"),
    ],
)
def test_what_is_wrong_is_named(api: ApiClient, changes: dict[str, Any], attr: str) -> None:
    assert error_of(api.post(BATCH, body(**changes))) == (400, attr)


@pytest.mark.parametrize("missing", ["customer_ids", "names"])
def test_what_is_missing_is_named(api: ApiClient, missing: str) -> None:
    sent = body()
    del sent[missing]
    assert error_of(api.post(BATCH, sent)) == (400, missing)


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("1.0", 200),
        ("behavioral:1.0", 200),
        (["behavioral:1.0", "customer:1.0"], 200),
        ([], 200),
        ("2.0", 404),
        (["1.0", "customer:2.0"], 404),
        ("", 404),
    ],
)
def test_versions_are_asked_for_as_a_text_or_a_list(api: ApiClient, version: Any, status: int) -> None:
    assert api.post(BATCH, body(version=version)).status_code == status


def test_the_edges_of_right_are_answered(api: ApiClient) -> None:
    names = [*(f"n{number}" for number in range(498)), "", "page_views_30d"]
    results = post(api, customer_ids=["x" * 128] * 1_000, names=names)
    assert len(results) == 1_000
    assert list(results[999]["features"]) == names
    assert results[0]["missing"][""] == "unknown"
