"""Published values are those in PostgreSQL, decayed to the moment up to which they are known to hold."""

from datetime import timedelta

import pytest
from django_redis import get_redis_connection

from featurehub.lib.clock import microseconds
from featurehub.lib.redis_away import REDIS_AWAY
from features.materialization.compute import compute_from_events
from features.models import Customer, FeatureVersion
from features.online import publish, store
from features.online.publish import CurrentValues
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


def current(customer_id: str = "c1") -> dict[str, CurrentValues]:
    """Return what is to be published of one customer, by feature type."""
    return {view.feature_type: held for view, held in publish.values_of_views([customer_id]).items()}


def value_of(held: CurrentValues, name: str) -> float:
    (value,) = held.columns.by_name[name].tolist()
    return float(value)


def test_every_live_type_has_an_entry_also_where_there_is_nothing(db: None) -> None:
    (live,) = publish.current_hashes(["nobody"])
    assert {version.feature_type for version in live.versions} == {"behavioral", "contextual", "customer", "derived"}
    assert {(*version.stamps, *version.fields[f"_{version.feature_type}:metadata"]) for version in live.versions} == {
        ("", "{}")
    }
    assert {
        text for version in live.versions for name, (text,) in version.fields.items() if not name.startswith("_")
    } == {store.UNCHANGED}


def test_a_row_is_published_with_its_values_and_its_id(db: None) -> None:
    make_customer("c1", page_view=3)
    (row,) = rows_of("c1")
    behavioral = current()["behavioral"]
    assert {name: value_of(behavioral, name) for name in behavioral.columns.by_name} == row.features
    assert behavioral.row_ids.tolist() == [row.pk]
    assert behavioral.metadata[0]["weight_set"] == row.metadata["weight_set"]


def test_values_are_in_the_order_of_the_customers_and_a_gap_changes_nothing(db: None) -> None:
    make_customer("c1", page_view=1)
    make_customer("c3", page_view=3)
    (live,) = publish.current_hashes(["c3", "nobody", "c1"])
    (behavioral,) = (version for version in live.versions if version.feature_type == "behavioral")
    assert behavioral.fields["page_views_30d"] == ["3.0", store.UNCHANGED, "1.0"]
    assert [bool(stamp) for stamp in behavioral.stamps] == [True, False, True]
    assert [bool(text) for text in behavioral.fields["_behavioral:base"]] == [True, False, True]


def test_a_customer_that_is_named_twice_is_published_as_one_that_is_named_once(db: None) -> None:
    make_customer("c1", page_view=2)
    held = cached("c1")
    get_redis_connection("default").delete("customer_features:c1")
    publish.publish(["c1", "nobody", "c1"])
    assert cached("c1") == held


def test_time_dependent_values_are_published_as_of_the_last_computation(db: None) -> None:
    make_customer("c1", events=[make_purchase(amount=100.0, timestamp=ago(days=3))])
    (row,) = rows_of("c1")
    computed_at = row.timestamp + timedelta(days=6)
    Customer.objects.update(computed_at=computed_at)
    values = current()
    assert [*values["behavioral"].as_of_us, *values["derived"].as_of_us] == [microseconds(computed_at)] * 2
    recency = value_of(values["behavioral"], "recency_score")
    assert recency == pytest.approx(row.features["recency_score"] - 0.2, abs=1e-9)
    assert value_of(values["derived"], "rfm_score") == pytest.approx((recency + 0.1 + 0.1) / 3)
    assert value_of(values["behavioral"], "purchase_amount_30d") == 100.0


def test_a_type_that_is_not_live_is_not_published(db: None) -> None:
    make_customer("c1", page_view=3)
    for state in ("deprecated", "retired"):
        FeatureVersion.objects.filter(feature_type="derived").update(state=state)
    forget_registry()
    assert "derived" not in current()


def test_the_contents_of_a_known_row_are_those_that_the_caller_has(db: None) -> None:
    make_customer("c1", page_view=3)
    (row,) = rows_of("c1")
    published = publish.current_hashes(["c1"])
    assert publish.current_hashes(["c1"], contents={row.pk: (row.features, row.metadata)}) == published
    (other,) = publish.current_hashes(["c1"], contents={row.pk: ({"page_views_30d": 7.0}, row.metadata)})
    (behavioral,) = (version for version in other.versions if version.feature_type == "behavioral")
    values = {name: text for name, (text,) in behavioral.fields.items() if not name.startswith("_")}
    assert {name: text for name, text in values.items() if text is not store.REMOVED} == {
        "page_views_30d": "7.0",
        "recency_score": "0.0",
    }


def test_postgresql_says_which_row_is_the_newest(db: None) -> None:
    make_customer("c1", page_view=3)
    (older,) = rows_of("c1")
    make_customer("c1", page_view=4)
    published = publish.current_hashes(["c1"])
    contents = {older.pk: (older.features, older.metadata), older.pk + 1_000: ({}, {})}
    assert publish.current_hashes(["c1"], contents=contents) == published
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
        assert [len(each.customer_ids) for each in publish.current_hashes(names)] == [19]


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
