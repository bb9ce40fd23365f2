"""PATCH /api/v1/customers/{id}/features/."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from features import tasks
from features.materialization.client_values import set_customer_features
from features.models import Customer, CustomerFeature
from features.online.outbox import unpublished
from tests.api_client import ApiClient, error_of
from tests.at_once import at_once, during
from tests.away import redis_away
from tests.factories import ago, cached, make_client, make_customer, rows_of, url_of


def body(**fields: Any) -> dict[str, Any]:
    sent = {"feature_type": "customer", "version": "1.0", "features": {"tenure_days": 5.0}, **fields}
    return {name: value for name, value in sent.items() if value is not ...}


def patch(api: ApiClient, customer_id: str = "c1", **fields: Any) -> Any:
    response = api.patch(url_of(customer_id), body(**fields))
    assert response.status_code == 200, response.content
    return response.json()


def read(api: ApiClient, *names: str) -> dict[str, float]:
    features: dict[str, float] = api.get(url_of("c1"), {"names": ",".join(names)}).json()["features"]
    return features


def test_values_are_set_and_the_whole_customer_feature_answered(api: ApiClient) -> None:
    answer = patch(api, metadata={"by": "crm"})
    moment = datetime.fromisoformat(answer.pop("timestamp"))
    assert ago(seconds=30) < moment < datetime.now(UTC) + timedelta(seconds=5)
    assert answer == {
        "customer_id": "c1",
        "feature_type": "customer",
        "version": "1.0",
        "features": {"tenure_days": 5.0},
        "metadata": {"by": "crm"},
    }
    (row,) = rows_of("c1", "customer")
    assert (row.features, row.metadata, row.timestamp) == ({"tenure_days": 5.0}, {"by": "crm"}, moment)


def test_values_are_published_after_the_commit(api: ApiClient) -> None:
    patch(api)
    assert cached("c1")["tenure_days"] == "5.0"
    answer = api.get(url_of("c1"), {"names": "tenure_days"}).json()
    assert (answer["features"], answer["source"]) == ({"tenure_days": 5.0}, "cache")
    assert not unpublished().exists()


def test_values_that_are_not_named_are_kept(api: ApiClient) -> None:
    patch(api, features={"tenure_days": 5, "loyalty_tier": 2}, metadata={"by": "crm", "why": "import"})
    answer = patch(api, features={"loyalty_tier": 3}, metadata={"by": "hand"})
    assert answer["features"] == {"tenure_days": 5.0, "loyalty_tier": 3.0}
    assert answer["metadata"] == {"by": "hand", "why": "import"}
    assert read(api, "tenure_days", "loyalty_tier") == {"tenure_days": 5.0, "loyalty_tier": 3.0}


def test_types_are_apart(api: ApiClient) -> None:
    patch(api)
    patch(api, feature_type="contextual", features={"cart_value": 99.5})
    assert read(api, "tenure_days", "cart_value") == {"tenure_days": 5.0, "cart_value": 99.5}
    assert (len(rows_of("c1", "customer")), len(rows_of("c1", "contextual"))) == (1, 1)


def test_values_of_computed_types_stay_what_they_are(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    patch(api)
    assert read(api, "page_views_30d", "tenure_days") == {"page_views_30d": 3.0, "tenure_days": 5.0}


def test_unchanged_values_are_not_appended(api: ApiClient) -> None:
    patch(api)
    patch(api)
    assert len(rows_of("c1", "customer")) == 1


def test_an_earlier_moment_corrects_history_and_leaves_the_newest_values(api: ApiClient) -> None:
    patch(api, features={"tenure_days": 10})
    patch(api, features={"loyalty_tier": 1}, timestamp="2026-01-01T00:00:00Z")
    assert read(api, "tenure_days", "loyalty_tier") == {"tenure_days": 10.0, "loyalty_tier": 0.0}
    assert [row.features for row in rows_of("c1", "customer")] == [{"tenure_days": 10.0}, {"loyalty_tier": 1.0}]


def test_a_clock_a_little_ahead_is_read_as_now(api: ApiClient) -> None:
    answer = patch(api, timestamp=(datetime.now(UTC) + timedelta(minutes=4)).isoformat())
    assert datetime.fromisoformat(answer["timestamp"]) < datetime.now(UTC) + timedelta(seconds=5)


def test_a_moment_in_another_offset_is_answered_in_utc(api: ApiClient) -> None:
    assert patch(api, timestamp="2026-05-01T14:00:00+02:00")["timestamp"] == "2026-05-01T12:00:00Z"


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"feature_type": ...}, "feature_type"),
        ({"feature_type": "behavioral"}, "feature_type"),
        ({"feature_type": "derived"}, "feature_type"),
        ({"feature_type": "guess"}, "feature_type"),
        ({"feature_type": None}, "feature_type"),
        ({"version": ...}, "version"),
        ({"version": 1.0}, "version"),
        ({"features": ...}, "features"),
        ({"features": {}}, "features"),
        ({"features": []}, "features"),
        ({"features": {"guess": 1}}, "features.guess"),
        ({"features": {"engagement_score": 1}}, "features.engagement_score"),
        ({"features": {"cart_value": 1}}, "features.cart_value"),
        ({"features": {"": 1}}, "features."),
        ({"features": {"tenure_days": -1}}, "features.tenure_days"),
        ({"features": {"tenure_days": 1, "loyalty_tier": -0.5}}, "features.loyalty_tier"),
        ({"features": {"tenure_days": "5"}}, "features.tenure_days"),
        ({"features": {"tenure_days": None}}, "features.tenure_days"),
        ({"features": {"tenure_days": True}}, "features.tenure_days"),
        ({"features": {"tenure_days": [5]}}, "features.tenure_days"),
        ({"features": {f"f{number}": 1 for number in range(501)}}, "features"),
        ({"timestamp": "2026-01-01T00:00:00"}, "timestamp"),
        ({"timestamp": "now"}, "timestamp"),
        ({"timestamp": 0}, "timestamp"),
        ({"timestamp": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, "timestamp"),
        ({"timestamp": "1969-12-31T23:59:59Z"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": "x" * 9_000}}, "metadata"),
        ({"metadata": {"a": "\x00"}}, "metadata"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_changes(api: ApiClient, changes: dict[str, Any], attr: str) -> None:
    assert error_of(api.patch(url_of("c1"), body(**changes))) == (400, attr)
    assert (CustomerFeature.objects.count(), Customer.objects.count(), cached("c1")) == (0, 0, {})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 400, "0x10"])
def test_a_number_that_is_not_finite_is_refused(api: ApiClient, number: str) -> None:
    sent = f'{{"feature_type": "customer", "version": "1.0", "features": {{"tenure_days": {number}}}}}'
    assert error_of(api.patch(url_of("c1"), sent.encode()))[0] == 400
    assert CustomerFeature.objects.count() == 0


@pytest.mark.parametrize("version", ["2.0", "", "customer:1.0", "\x00", "1"])
def test_an_unknown_version_is_not_found(api: ApiClient, version: str) -> None:
    assert error_of(api.patch(url_of("c1"), body(version=version)))[0] == 404


@pytest.mark.parametrize("value", [0, -0.0, 5e-324, 0.1, 1e22, 1.7976931348623157e308, 2**60])
def test_any_finite_number_in_range_is_kept_to_the_last_bit(api: ApiClient, value: float) -> None:
    assert patch(api, features={"tenure_days": value})["features"] == {"tenure_days": value}
    for _ in range(2):
        assert read(api, "tenure_days") == {"tenure_days": value}
        patch(api, features={"loyalty_tier": 1})
        assert read(api, "tenure_days") == {"tenure_days": value}


def test_a_write_does_not_read_the_registry_again(committed: None) -> None:
    write = partial(set_customer_features, "c1", feature_type="customer", version="1.0")
    write(features={"tenure_days": 1.0})
    with CaptureQueriesContext(connection) as captured:
        write(features={"tenure_days": 2.0})
    assert not [query["sql"] for query in captured.captured_queries if "features_featuredefinition" in query["sql"]]


def test_with_redis_away_the_values_are_kept_and_published_later(api: ApiClient, committed: None) -> None:
    with redis_away():
        patch(api)
    assert (cached("c1"), unpublished().count()) == ({}, 1)
    tasks.publish_overdue_task()
    assert (cached("c1")["tenure_days"], unpublished().count()) == ("5.0", 0)


def test_with_redis_full_the_values_are_kept(api: ApiClient, committed: None, full_redis: None) -> None:
    patch(api)
    assert (len(rows_of("c1", "customer")), cached("c1")) == (1, {})


def test_writers_at_once_lose_no_value(committed: None) -> None:
    clients = [make_client("write") for _ in range(4)]
    names = ["tenure_days", "loyalty_tier"] * 2

    def write(client: ApiClient, name: str, value: int) -> int:
        return client.patch(url_of("c1"), body(features={name: value})).status_code

    writers = zip(clients, names, range(1, 5), strict=True)
    assert at_once(*[lambda each=each: write(*each) for each in writers]) == [200] * 4
    held = rows_of("c1", "customer")[-1].features
    assert set(held) == {"tenure_days", "loyalty_tier"}
    assert {name: float(cached("c1")[name]) for name in held} == held


def test_a_writer_waits_for_another_of_the_same_customer_and_keeps_what_that_wrote(committed: None) -> None:
    def write(name: str, value: float) -> None:
        set_customer_features("c1", feature_type="customer", version="1.0", features={name: value})

    write("tenure_days", 1.0)
    during(lambda: write("tenure_days", 2.0), lambda: write("loyalty_tier", 3.0))
    assert rows_of("c1", "customer")[-1].features == {"tenure_days": 2.0, "loyalty_tier": 3.0}
    assert (cached("c1")["tenure_days"], cached("c1")["loyalty_tier"]) == ("2.0", "3.0")
