"""The offline store: changed values are appended at their moment, and no row is changed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from features.formulas.activity import LARGEST
from features.materialization import recompute, refresh
from features.materialization.compute import compute_from_events
from features.materialization.locks import lock_customers
from features.models import CustomerFeature, FeatureType
from features.offline import history
from features.offline.computed import append_computed
from tests.at_once import at_once, during
from tests.factories import make_customer, make_event, rows_of, store_events

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
HOUR, DAY, TICK = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
TIME_DEPENDENT = ("recency_score",)


def append(
    features: Mapping[str, float],
    *,
    at: datetime = NOON,
    customer_id: str = "c1",
    feature_type: str = "behavioral",
    version: str = "1.0",
    last_purchase_us: int = 0,
    purchase_amount: float = 0.0,
    anew: bool = False,
) -> bool:
    """Append the values where they changed. Return whether they did."""
    changed = append_computed(
        [customer_id],
        feature_type=feature_type,
        version=version,
        as_of=at,
        features=[features],
        metadata=[{"activity": {"last_purchase_us": last_purchase_us, "purchase_amount": purchase_amount}}],
        held=history.latest([customer_id], versions=[(feature_type, version)], as_of=at),
        time_dependent=TIME_DEPENDENT,
        anew=anew,
    )
    assert set(changed) <= {customer_id}
    return bool(changed)


def latest(*, as_of: datetime | None = None, **versions: str) -> dict[str, Any]:
    """Return feature type → values of c1."""
    rows = history.latest(["c1"], versions=(versions or {"behavioral": "1.0"}).items(), as_of=as_of)
    return {row.feature_type: row.features for row in rows}


def test_the_first_values_are_appended(db: None) -> None:
    assert append({"a": 1.0})


def test_the_same_values_are_not_appended(db: None) -> None:
    append({"a": 1.0})
    assert not append({"a": 1.0}, at=NOON + DAY)
    assert [row.timestamp for row in rows_of("c1")] == [NOON]


@pytest.mark.parametrize("features", [{"a": 1.0000000000000002}, {"a": 1.0, "b": 0.0}, {"b": 1.0}, {}])
def test_another_value_another_name_and_one_name_less_are_appended(db: None, features: dict[str, float]) -> None:
    append({"a": 1.0})
    assert append(features, at=NOON + TICK)


@pytest.mark.parametrize(("later", "is_appended"), [(3.809827673150074e16, False), (3.809827673150075e16, True)])
def test_a_repair_appends_what_differs_in_an_amount_of_the_metadata(db: None, later: float, is_appended: bool) -> None:
    """PostgreSQL writes this amount without a decimal point, as an integer that is not equal to the double."""
    append({"a": 1.0}, purchase_amount=3.809827673150074e16)
    assert append({"a": 1.0}, purchase_amount=later, at=NOON + HOUR, anew=True) is is_appended


@pytest.mark.parametrize("customer_id", ["back\\slash", "\\N", "\\.", 'quote"', "ключ"])
def test_an_id_is_stored_as_it_is(db: None, customer_id: str) -> None:
    assert append({"a": 1.0}, customer_id=customer_id)
    assert [row.customer_id for row in CustomerFeature.objects.all()] == [customer_id]


def test_values_that_came_back_are_appended(db: None) -> None:
    assert [append({"a": value}, at=NOON + number * HOUR) for number, value in enumerate([1, 2, 1])] == [True] * 3


@pytest.mark.parametrize(("later", "is_appended"), [(HOUR, False), (DAY - TICK, False), (DAY, True), (2 * DAY, True)])
def test_what_changed_by_decay_alone_is_appended_once_a_day(db: None, later: timedelta, is_appended: bool) -> None:
    append({"a": 1.0, "recency_score": 0.9})
    assert append({"a": 1.0, "recency_score": 0.8}, at=NOON + later) is is_appended


def test_what_can_decay_but_did_not_is_not_appended_even_after_a_day(db: None) -> None:
    append({"a": 1.0, "recency_score": 0.0})
    assert not append({"a": 1.0, "recency_score": 0.0}, at=NOON + 2 * DAY)


def test_a_purchase_in_the_place_of_another_is_appended_at_once(db: None) -> None:
    append({"a": 1.0, "recency_score": 0.1}, last_purchase_us=1)
    assert append({"a": 1.0, "recency_score": 1.0}, at=NOON + HOUR, last_purchase_us=2)


def test_values_of_one_type_version_or_customer_are_not_compared_with_those_of_another(db: None) -> None:
    append({"a": 1.0})
    assert append({"a": 1.0}, feature_type="derived")
    assert append({"a": 1.0}, version="2.0")
    assert append({"a": 1.0}, customer_id="c2")


def test_values_of_a_moment_in_the_past_are_compared_with_what_held_then(db: None) -> None:
    append({"a": 1.0})
    append({"a": 2.0}, at=NOON + DAY)
    assert not append({"a": 1.0}, at=NOON + HOUR)
    assert append({"a": 2.0}, at=NOON + HOUR)


def test_values_of_a_moment_before_everything_are_appended(db: None) -> None:
    append({"a": 1.0})
    assert append({"a": 1.0}, at=NOON - DAY)


def test_values_of_a_moment_in_the_past_leave_the_newest_as_they_are(db: None) -> None:
    append({"a": 2.0})
    append({"a": 1.0}, at=NOON - DAY)
    assert latest() == {"behavioral": {"a": 2.0}}
    assert latest(as_of=NOON - TICK) == {"behavioral": {"a": 1.0}}
    assert latest(as_of=NOON - DAY - TICK) == {}


def test_of_two_rows_of_one_moment_the_later_recorded_holds(db: None) -> None:
    append({"a": 1.0})
    append({"a": 2.0})
    assert latest(as_of=NOON) == {"behavioral": {"a": 2.0}}
    assert not append({"a": 2.0})


def test_the_newest_rows_of_many_types_come_in_one_query(db: None, django_assert_num_queries: Any) -> None:
    append({"a": 1.0})
    append({"b": 2.0}, feature_type="customer", version="3.1")
    append({"c": 3.0}, feature_type="customer")
    with django_assert_num_queries(1):
        assert latest(behavioral="1.0", customer="3.1", contextual="1.0") == {
            "behavioral": {"a": 1.0},
            "customer": {"b": 2.0},
        }


@given(values=st.dictionaries(st.sampled_from("abc"), st.floats(-LARGEST, LARGEST)))
def test_every_double_comes_back_as_it_was(db: None, values: dict[str, float]) -> None:
    with transaction.atomic():
        append(values)
        assert {name: float(value) for name, value in latest()["behavioral"].items()} == values
        assert {name: float(value) for name, value in rows_of("c1")[0].features.items()} == values
        assert not append(values, at=NOON + DAY)
        transaction.set_rollback(True)


@pytest.mark.parametrize("changes", [{"features": {}}, {"timestamp": NOON}, {"customer_id": "c2"}, {"metadata": {}}])
def test_the_database_refuses_to_change_a_row(db: None, changes: dict[str, Any]) -> None:
    append({"a": 1.0})
    with pytest.raises(IntegrityError, match="only ever appended"):
        CustomerFeature.objects.update(**changes)


def test_the_database_refuses_a_type_that_there_is_not(db: None) -> None:
    with pytest.raises(IntegrityError, match="customer_feature_type_is_known"):
        append({"a": 1.0}, feature_type="guessed")


def test_a_row_is_recorded_when_it_is_written_whenever_it_holds(db: None) -> None:
    append({"a": 1.0}, at=NOON - 365 * DAY)
    append({"a": 2.0}, at=NOON - 366 * DAY)
    first, second = rows_of("c1")
    assert datetime.now(UTC) - HOUR < first.recorded_at < second.recorded_at < datetime.now(UTC) + HOUR


def test_workers_that_compute_one_customer_at_once_append_one_row(committed: None) -> None:
    for _ in range(4):
        store_events(make_event(event_id="e"), make_event(event_type="email_click"))
    assert at_once(*[lambda: refresh.refresh_dirty(limit=1)] * 4) == [1, 1, 1, 1]
    assert rows_of("c1")[-1].features["email_clicks_30d"] == 4
    recompute.recompute_customers(customer_ids=["c1"])
    assert len(rows_of("c1", FeatureType.BEHAVIORAL)) == len(rows_of("c1", FeatureType.DERIVED)) == 1


def test_a_computation_waits_for_whoever_holds_the_customer_and_reads_what_came_meanwhile(committed: None) -> None:
    make_customer("c1", page_view=1)

    def hold_and_ingest() -> None:
        lock_customers(["c1"])
        store_events(make_event())

    def compute() -> None:
        with transaction.atomic():
            compute_from_events(["c1"])

    during(hold_and_ingest, compute)
    assert [row.features["page_views_30d"] for row in rows_of("c1")] == [1.0, 2.0]
