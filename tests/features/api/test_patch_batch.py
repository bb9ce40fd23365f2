"""PATCH /api/v1/features/batch/."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events.models import DirtyCustomer
from events.tombstones import add_tombstone
from features import tasks
from features.materialization.client_values import set_customer_features, set_features_of_customers
from features.models import Customer, CustomerFeature
from features.offline.written import WrittenRow
from features.online.outbox import unpublished
from tests.api_client import ApiClient, error_of
from tests.at_once import at_once, during
from tests.away import redis_away
from tests.factories import ago, cached, make_client, rows_of, url_of

BATCH = "/api/v1/features/batch/"


def row(customer_id: str = "c1", *, at: datetime | None = None, **features: float) -> dict[str, Any]:
    made: dict[str, Any] = {"customer_id": customer_id, "features": features or {"tenure_days": 5.0}}
    return made if at is None else {**made, "timestamp": at.isoformat()}


def body(*rows: Any, **fields: Any) -> dict[str, Any]:
    sent = {"feature_type": "customer", "version": "1.0", "rows": list(rows), **fields}
    return {name: value for name, value in sent.items() if value is not ...}


def patch(api: ApiClient, *rows: dict[str, Any]) -> dict[str, int]:
    response = api.patch(BATCH, body(*rows))
    assert response.status_code == 200, response.content
    answer: dict[str, int] = response.json()
    return answer


def values(customer_id: str) -> list[dict[str, float]]:
    """Return the values of the history rows, the oldest first."""
    found = CustomerFeature.objects.filter(customer_id=customer_id, feature_type="customer")
    return [held.features for held in found.order_by("timestamp", "id")]


def test_the_values_of_many_customers_are_stored_and_published(api: ApiClient) -> None:
    assert patch(api, row("c1", tenure_days=1), row("c2", tenure_days=2)) == {"accepted": 2, "appended": 2}
    assert (cached("c1")["tenure_days"], cached("c2")["tenure_days"]) == ("1.0", "2.0")
    answer = api.get(url_of("c2"), {"names": "tenure_days"}).json()
    assert (answer["features"], answer["source"]) == ({"tenure_days": 2.0}, "cache")
    assert not unpublished().exists()


def test_values_that_are_not_named_are_kept_with_their_metadata(api: ApiClient) -> None:
    sent = {"feature_type": "customer", "version": "1.0", "features": {"loyalty_tier": 2}, "metadata": {"by": "crm"}}
    api.patch(url_of("c1"), sent)
    patch(api, row("c1", tenure_days=1))
    held = rows_of("c1", "customer")[-1]
    assert (held.features, held.metadata) == ({"loyalty_tier": 2.0, "tenure_days": 1.0}, {"by": "crm"})


def test_unchanged_values_append_nothing(api: ApiClient) -> None:
    rows = [row("c1"), row("c2")]
    patch(api, *rows)
    assert patch(api, *rows, row("c3")) == {"accepted": 3, "appended": 1}
    assert len(values("c1")) == 1


def test_the_rows_of_a_customer_are_merged_in_the_order_of_their_moments(api: ApiClient) -> None:
    first, second, third = ago(hours=30), ago(hours=20), ago(hours=10)
    rows = [
        row(at=third, loyalty_tier=3),
        row(at=first, tenure_days=1),
        row(at=second, tenure_days=2),
        row(at=second, tenure_days=2),
    ]
    assert patch(api, *rows) == {"accepted": 4, "appended": 3}
    assert values("c1") == [{"tenure_days": 1.0}, {"tenure_days": 2.0}, {"tenure_days": 2.0, "loyalty_tier": 3.0}]
    assert patch(api, *rows)["appended"] == 0


def test_a_row_that_holds_between_two_of_the_batch_stays_what_it_is(api: ApiClient) -> None:
    patch(api, row(at=ago(hours=20), loyalty_tier=7))
    patch(api, row(at=ago(hours=30), tenure_days=1), row(at=ago(hours=10), tenure_days=2))
    assert values("c1") == [{"tenure_days": 1.0}, {"loyalty_tier": 7.0}, {"loyalty_tier": 7.0, "tenure_days": 2.0}]


@pytest.mark.parametrize("at", [None, ago(hours=3), datetime.now(UTC) + timedelta(minutes=4)])
def test_of_two_rows_with_equal_moments_the_later_one_wins(api: ApiClient, at: datetime | None) -> None:
    rows = [row(at=at, tenure_days=1, loyalty_tier=1), row("c2", at=at), row(at=at, tenure_days=2)]
    assert patch(api, *rows) == {"accepted": 3, "appended": 2}
    assert values("c1") == [{"tenure_days": 2.0, "loyalty_tier": 1.0}]
    assert cached("c1")["tenure_days"] == "2.0"


def test_an_older_value_never_wins(api: ApiClient) -> None:
    patch(api, row(tenure_days=10))
    patch(api, row(at=ago(days=2), tenure_days=8))
    assert values("c1") == [{"tenure_days": 8.0}, {"tenure_days": 10.0}]
    assert cached("c1")["tenure_days"] == "10.0"


def test_a_batch_is_written_as_its_rows_would_be_one_by_one(api: ApiClient) -> None:
    moments = [ago(hours=hours) for hours in (9, 5, 7, 7, 1)]
    names = ["tenure_days", "loyalty_tier", "tenure_days", "loyalty_tier", "tenure_days"]
    rows = [
        row(at=at, **{name: float(place)}) for place, (at, name) in enumerate(zip(moments, names, strict=True), start=1)
    ]
    ordered = sorted(rows, key=lambda each: str(each["timestamp"]))
    for each in ordered:
        sent = {"feature_type": "customer", "version": "1.0", **each, "customer_id": ...}
        api.patch(url_of("single"), {name: value for name, value in sent.items() if value is not ...})
    patch(api, *[{**each, "customer_id": "many"} for each in rows])
    newest_of_moment = {held.timestamp: held.features for held in rows_of("single", "customer")}
    assert [newest_of_moment[moment] for moment in sorted(newest_of_moment)] == values("many")


@pytest.mark.parametrize(
    ("wrong", "attr"),
    [
        (row("c 2"), "rows.1.customer_id"),
        (row("a/b"), "rows.1.customer_id"),
        (row("c2", guess=1), "rows.1.features.guess"),
        (row("c2", tenure_days=-1), "rows.1.features.tenure_days"),
        ({**row("c2"), "features": {"tenure_days": "5"}}, "rows.1.features.tenure_days"),
        ({**row("c2"), "features": {"loyalty_tier": 1, "tenure_days": None}}, "rows.1.features.tenure_days"),
        ({**row("c2"), "features": {}}, "rows.1.features"),
        ({"features": {"tenure_days": 1}}, "rows.1.customer_id"),
        ({**row("c2"), "metadata": {}}, "rows.1.metadata"),
        ({**row("c2"), "timestamp": "now"}, "rows.1.timestamp"),
        ({**row("c2"), "timestamp": "1969-12-31T23:59:59Z"}, "rows.1.timestamp"),
        (row("c2", at=datetime.now(UTC) + timedelta(days=1)), "rows.1.timestamp"),
        (7, "rows.1"),
    ],
)
def test_the_row_that_is_wrong_is_named_and_none_is_written(api: ApiClient, wrong: Any, attr: str) -> None:
    assert error_of(api.patch(BATCH, body(row("c1"), wrong))) == (400, attr)
    assert (CustomerFeature.objects.count(), Customer.objects.count(), cached("c1")) == (0, 0, {})


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"feature_type": "behavioral"}, "feature_type"),
        ({"version": ...}, "version"),
        ({"rows": []}, "rows"),
        ({"rows": [row()] * 10_001}, "rows"),
        ({"timestamp": "2026-01-01T00:00:00Z"}, "timestamp"),
    ],
)
def test_what_is_wrong_with_the_whole_is_named(api: ApiClient, changes: dict[str, Any], attr: str) -> None:
    assert error_of(api.patch(BATCH, body(row(), **changes))) == (400, attr)


def test_an_unknown_version_is_not_found(api: ApiClient) -> None:
    assert error_of(api.patch(BATCH, body(row(), version="9.9"))) == (404, None)


def test_a_customer_who_was_erased_is_refused_by_row(api: ApiClient) -> None:
    add_tombstone("gone")
    assert error_of(api.patch(BATCH, body(row(), row("gone"), row("gone")))) == (400, "rows.1.customer_id")
    assert CustomerFeature.objects.count() == 0


def test_ten_thousand_rows_are_written_at_once(api: ApiClient) -> None:
    rows = [row(f"c{number}", tenure_days=number) for number in range(10_000)]
    assert patch(api, *rows) == {"accepted": 10_000, "appended": 10_000}
    assert cached("c9999")["tenure_days"] == "9999.0"


def test_only_customers_whose_values_changed_are_computed_again(api: ApiClient) -> None:
    patch(api, row("c1"))
    DirtyCustomer.objects.all().delete()
    patch(api, row("c1"), row("c2"))
    assert set(DirtyCustomer.objects.values_list("customer_id", flat=True)) <= {"c2"}


def test_with_redis_away_the_values_are_kept_and_published_later(api: ApiClient, committed: None) -> None:
    with redis_away():
        patch(api, row("c1"), row("c2"))
    assert (cached("c1"), unpublished().count()) == ({}, 1)
    tasks.publish_overdue_task()
    assert (cached("c2")["tenure_days"], unpublished().count()) == ("5.0", 0)


def test_batches_and_single_writes_at_once_lose_no_value(committed: None) -> None:
    clients = [make_client("write") for _ in range(4)]
    customer_ids = [f"c{number}" for number in range(50)]

    def write_many(client: ApiClient, name: str, order: int) -> int:
        rows = [row(customer_id, **{name: 5.0}) for customer_id in customer_ids[::order]]
        return client.patch(BATCH, body(*rows)).status_code

    def write_one(client: ApiClient, name: str) -> int:
        sent = {"feature_type": "customer", "version": "1.0", "features": {name: 9.0}}
        return client.patch(url_of("c7"), sent).status_code

    statuses = at_once(
        lambda: write_many(clients[0], "tenure_days", 1),
        lambda: write_many(clients[1], "loyalty_tier", -1),
        lambda: write_one(clients[2], "tenure_days"),
        lambda: write_one(clients[3], "loyalty_tier"),
    )
    assert statuses == [200] * 4
    for customer_id in customer_ids:
        held = values(customer_id)[-1]
        assert set(held) == {"tenure_days", "loyalty_tier"}
        assert {name: float(cached(customer_id)[name]) for name in held} == held


def test_a_single_write_waits_for_a_batch_with_its_customer(committed: None) -> None:
    def write_batch(value: float) -> None:
        rows = [WrittenRow(customer_id, {"tenure_days": value}) for customer_id in ("c1", "c2")]
        set_features_of_customers(rows, feature_type="customer", version="1.0")

    def write_one() -> None:
        set_customer_features("c1", feature_type="customer", version="1.0", features={"loyalty_tier": 3.0})

    write_batch(1.0)
    during(lambda: write_batch(2.0), write_one)
    assert values("c1")[-1] == {"tenure_days": 2.0, "loyalty_tier": 3.0}
