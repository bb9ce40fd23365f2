"""Published values are those in PostgreSQL, decayed to the moment up to which they are known to hold."""

from datetime import timedelta

import pytest
from django_redis import get_redis_connection

from featurehub.lib.clock import microseconds
from featurehub.lib.redis_away import REDIS_AWAY
from features.materialization.compute import compute_from_events
from features.models import Customer, FeatureVersion
from features.online import publish
from features.online.store import Hash, Published
from tests.away import redis_away
from tests.factories import (
    ago,
    cached,
    forget_registry,
    make_customer,
    make_event,
    make_purchase,
    rows_of,
    store_events,
)


def values_of(customer_id: str = "c1") -> dict[str, Published]:
    return {part.feature_type: part for part in publish.current_values([customer_id])[Hash(customer_id)]}


def test_every_live_type_has_an_entry_also_where_there_is_nothing(db: None) -> None:
    values = values_of("nobody")
    assert set(values) == {"behavioral", "contextual", "customer", "derived"}
    assert {(part.version, part.as_of_us, len(part.features)) for part in values.values()} == {(None, None, 0)}


def test_a_row_is_published_with_its_values_and_its_id(db: None) -> None:
    make_customer("c1", page_view=3)
    (row,) = rows_of("c1")
    behavioral = values_of()["behavioral"]
    assert behavioral.features == row.features
    assert (behavioral.sequence, behavioral.version) == (row.pk, "1.0")
    assert behavioral.metadata["weight_set"] == row.metadata["weight_set"]


def test_time_dependent_values_are_published_as_of_the_last_computation(db: None) -> None:
    make_customer("c1", events=[make_purchase(amount=100.0, timestamp=ago(days=3))])
    (row,) = rows_of("c1")
    computed_at = row.timestamp + timedelta(days=6)
    Customer.objects.update(computed_at=computed_at)
    values = values_of()
    assert values["behavioral"].as_of_us == values["derived"].as_of_us == microseconds(computed_at)
    recency = values["behavioral"].features["recency_score"]
    assert recency == pytest.approx(row.features["recency_score"] - 0.2, abs=1e-9)
    assert values["derived"].features["rfm_score"] == pytest.approx((recency + 0.1 + 0.1) / 3)
    assert values["behavioral"].features["purchase_amount_30d"] == 100.0


def test_a_type_that_is_not_live_is_not_published(db: None) -> None:
    make_customer("c1", page_view=3)
    for state in ("deprecated", "retired"):
        FeatureVersion.objects.filter(feature_type="derived").update(state=state)
    forget_registry()
    assert "derived" not in values_of()


def test_the_contents_of_a_known_row_are_those_that_the_caller_has(db: None) -> None:
    make_customer("c1", page_view=3)
    (row,) = rows_of("c1")
    published = publish.current_values(["c1"])
    assert publish.current_values(["c1"], contents={row.pk: (row.features, row.metadata)}) == published
    other = publish.current_values(["c1"], contents={row.pk: ({"page_views_30d": 7.0}, row.metadata)})
    assert [part.features for part in other[Hash("c1")] if part.feature_type == "behavioral"] == [
        {"page_views_30d": 7.0, "recency_score": 0.0}
    ]


def test_postgresql_says_which_row_is_the_newest(db: None) -> None:
    make_customer("c1", page_view=3)
    (older,) = rows_of("c1")
    make_customer("c1", page_view=4)
    published = publish.current_values(["c1"])
    contents = {older.pk: (older.features, older.metadata), older.pk + 1_000: ({}, {})}
    assert publish.current_values(["c1"], contents=contents) == published
    assert len(rows_of("c1")) == 2


def test_a_computation_hands_on_the_contents_of_the_rows_that_it_appended(db: None) -> None:
    make_customer("c1", page_view=3)
    store_events(*(make_event(customer_id=customer_id) for customer_id in ("c1", "c2")))
    contents = compute_from_events(["c1", "c2"])
    appended = [rows_of(customer_id)[-1] for customer_id in ("c1", "c2")]
    assert contents == {row.pk: (row.features, row.metadata) for row in appended}
    assert compute_from_events(["c1", "c2"]) == {}


def test_many_customers_are_one_query(db: None, django_assert_num_queries: object) -> None:
    names = [make_customer(f"c{number}", page_view=number) for number in range(1, 20)]
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert len(publish.current_values(names)) == 19


def test_publishing_nobody_asks_nobody(db: None, django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0), redis_away():  # type: ignore[operator]
        publish.publish([])


def test_with_redis_away_the_caller_is_told(db: None) -> None:
    make_customer("c1", page_view=3)
    with redis_away(), pytest.raises(REDIS_AWAY):
        publish.publish(["c1"])


def test_everything_that_redis_has_lost_can_be_published_anew(db: None) -> None:
    names = [make_customer(f"c{number}", page_view=number) for number in range(1, 6)]
    held = {name: cached(name) for name in names}
    get_redis_connection("default").flushdb()
    chunks: list[int] = []
    assert publish.publish_everybody(progress=chunks.append) == sum(chunks) == 5
    assert {name: cached(name) for name in names} == held
