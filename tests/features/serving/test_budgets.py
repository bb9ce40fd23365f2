"""Counted budgets: queries and Redis commands of every endpoint. They do not depend on the clock.

A budget that grows with the number of customers, names or events fails here.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from featurehub.access.models import Scope
from features.lifecycle.feature_sets import make_feature_set
from tests.api_client import ApiClient
from tests.factories import forget_registry, make_client, make_customer, make_event, post_events, url_of

pytestmark = pytest.mark.django_db
FIVE = ["engagement_score", "page_views_30d", "purchases_30d", "conversion_rate", "recency_score"]
# Commands that the client library or the metrics send for themselves.
NOT_COUNTED = ("info", "config|resetstat", "hello", "auth", "select", "client|setinfo", "client|setname")


@pytest.fixture
def client() -> ApiClient:
    made = make_client(Scope.READ, Scope.WRITE, Scope.INGEST)
    for number in range(3):
        make_customer(f"c{number}", page_view=3, purchase=1)
    # Open the connections, and load the snapshots of keys and of the registry.
    made.get(url_of("c1"))
    made.get(url_of("c1", "vector/"))
    return made


class Spent:
    queries: int
    commands: dict[str, int]


@contextmanager
def counted() -> Iterator[Spent]:
    """Count the queries, and the commands that Redis received, by name."""
    redis, spent = get_redis_connection("default"), Spent()
    redis.config_resetstat()
    with CaptureQueriesContext(connection) as queries:
        yield spent
    spent.queries = len(queries)
    calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in redis.info("commandstats").items()}
    spent.commands = {name: number for name, number in calls.items() if name not in NOT_COUNTED}


def batch(client: ApiClient, customer_ids: list[str], names: list[str]) -> Any:
    return client.post("/api/v1/features/batch/", {"customer_ids": customer_ids, "names": names})


def test_a_cached_read_is_one_command_and_no_query(client: ApiClient) -> None:
    with counted() as spent:
        assert client.get(url_of("c1") + f"?names={','.join(FIVE)}").json()["source"] == "cache"
    assert (spent.queries, spent.commands) == (0, {"hmget": 1})


def make_set() -> str:
    made = make_feature_set("churn_model", names=[*FIVE, "cart_value", "tenure_days", "rfm_score"])
    forget_registry()
    return str(made.feature_set)


def test_a_cached_read_by_a_set_is_one_command_and_no_query(client: ApiClient) -> None:
    address = url_of("c1") + f"?set={make_set()}"
    client.get(address)  # the registry is loaded, and that the key reads by the set is noted
    with counted() as spent:
        assert client.get(address).json()["source"] == "cache"
    assert (spent.queries, spent.commands) == (0, {"hmget": 1})


def test_a_cached_batch_by_a_set_is_a_command_for_each_customer_and_no_query(client: ApiClient) -> None:
    body = {"customer_ids": ["c0", "c1", "c2"], "set": make_set()}
    client.post("/api/v1/features/batch/", body)
    with counted() as spent:
        assert len(client.post("/api/v1/features/batch/", body).json()["results"]) == 3
    assert (spent.queries, spent.commands) == (0, {"hmget": 3})


def test_a_vector_is_one_command_and_no_query(client: ApiClient) -> None:
    with counted() as spent:
        assert client.get(url_of("c1", "vector/")).json()["source"] == "cache"
    assert (spent.queries, spent.commands) == (0, {"hmget": 1})


def test_a_cached_batch_is_a_command_for_each_customer_and_no_query(client: ApiClient) -> None:
    with counted() as spent:
        batch(client, ["c0", "c1", "c2"], FIVE)
    assert (spent.queries, spent.commands) == (0, {"hmget": 3})


def test_a_cached_batch_is_one_round_trip(client: ApiClient) -> None:
    redis = get_redis_connection("default")
    gc.collect()  # Redis also reads the end of a connection of earlier tests
    redis.ping()  # answered after it has read them
    before = redis.info("stats")["total_reads_processed"]
    assert len(batch(client, ["c0", "c1", "c2"], FIVE).json()["results"]) == 3
    # Redis reads what has arrived as one piece: the batch, and the second INFO.
    assert redis.info("stats")["total_reads_processed"] - before == 2


@pytest.mark.parametrize(("number", "scripts"), [(1, 1), (300, 3)])
def test_customers_nobody_has_heard_of_are_one_query_and_few_scripts(
    client: ApiClient, number: int, scripts: int
) -> None:
    with counted() as spent:
        batch(client, [f"nobody{n}" for n in range(number)], FIVE)
    assert spent.queries == 1
    # Once more where Redis lacks the script.
    assert sum(spent.commands.get(name, 0) for name in ("evalsha", "eval")) <= scripts + 1


def test_customers_nobody_has_heard_of_are_remembered(client: ApiClient) -> None:
    batch(client, ["nobody1", "nobody2"], FIVE)
    with counted() as spent:
        batch(client, ["nobody1", "nobody2"], FIVE)
    assert (spent.queries, spent.commands) == (0, {"hmget": 2})


def queries_of_ingesting(client: ApiClient, number: int) -> int:
    with CaptureQueriesContext(connection) as queries:
        events = [make_event(customer_id=f"c{n}") for n in range(number)]
        assert post_events(client, *events).json() == {"accepted": number, "duplicates": 0}
    return len(queries)


def test_ingestion_is_as_many_statements_whatever_its_size(client: ApiClient) -> None:
    assert queries_of_ingesting(client, 199) == queries_of_ingesting(client, 1) <= 8
    assert queries_of_ingesting(client, 2_000) == queries_of_ingesting(client, 200) <= 10


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("features/page_views_30d/history/?limit=100", 2),
        ("explanation/", 3),
    ],
)
def test_what_postgresql_answers_about_a_customer_has_a_budget(client: ApiClient, path: str, most: int) -> None:
    with counted() as spent:
        assert client.get(url_of("c1", path)).status_code == 200
    assert spent.queries <= most


@pytest.mark.parametrize("path", ["definitions/", "weights/", "feature-sets/", "feature-sets/churn_model:1/"])
def test_a_list_has_a_budget(client: ApiClient, path: str) -> None:
    make_set()
    client.get(f"/api/v1/{path}")
    with counted() as spent:
        assert client.get(f"/api/v1/{path}").status_code == 200
    assert spent.queries <= 4


@pytest.mark.parametrize("limit", [1, 3])
def test_a_page_of_a_customer_list_has_a_budget_whatever_its_size(client: ApiClient, limit: int) -> None:
    url = f"/api/v1/customers/?order=-engagement_score&where=page_views_30d%3E1,tenure_days&limit={limit}"
    with counted() as spent:
        assert client.get(url).status_code == 200
    # Those of the list itself: a savepoint and its release (a transaction outside of tests), the limit of time, the
    # page, and how much of the lists is filled in.
    assert (spent.queries, spent.commands) == (5, {})


@pytest.mark.parametrize("number", [1, 200])
def test_an_as_of_read_has_a_budget_whatever_its_size(client: ApiClient, number: int) -> None:
    entities = [{"customer_id": "c1", "timestamp": "2026-01-01T00:00:00Z"}] * number
    with counted() as spent:
        assert client.post("/api/v1/features/as-of/", {"entities": entities, "names": FIVE}).status_code == 200
    assert spent.queries <= 3


def test_making_a_set_has_a_budget_whatever_its_size(client: ApiClient) -> None:
    names = [*FIVE, "cart_value", "tenure_days", "rfm_score"]
    for size in (1, len(names)):
        with counted() as spent:
            answer = client.post("/api/v1/feature-sets/", {"name": "churn_model", "names": names[:size]})
            assert answer.status_code == 201
        assert spent.queries <= 17


def test_a_computation_on_given_events_has_a_budget(client: ApiClient) -> None:
    with counted() as spent:
        answer = client.post("/api/v1/features/compute/", {"events": [make_event() for _ in range(100)]})
        assert answer.status_code == 200
    assert spent.queries <= 3


def test_a_write_has_a_budget(client: ApiClient) -> None:
    body = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 5.0, "items_in_cart": 2}}
    with counted() as spent:
        assert client.patch(url_of("c1"), body).status_code == 200
    assert spent.queries <= 14


@pytest.mark.parametrize(("number", "most"), [(1, 14), (900, 15), (3_000, 30)])
def test_a_batch_of_writes_has_a_budget_by_the_thousand_customers(client: ApiClient, number: int, most: int) -> None:
    rows = [{"customer_id": f"n{n}", "features": {"cart_value": 5.0}} for n in range(number)]
    body = {"feature_type": "contextual", "version": "1.0", "rows": rows}
    with counted() as spent:
        assert client.patch("/api/v1/features/batch/", body).json() == {"accepted": number, "appended": number}
    assert spent.queries <= most
