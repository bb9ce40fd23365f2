"""From events to a history row: a customer's values worked out by hand, and the note about the computation."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from events.event_types import EVENT_TYPES
from featurehub.lib.clock import microseconds
from features.engines import postgres
from features.formulas.activity import Activity
from features.formulas.behavioral import BEHAVIORAL_FEATURES, Weights, behavioral_features
from features.lifecycle import weight_set_steps
from features.materialization import compute as computation
from features.materialization import recompute
from features.models import Customer, WeightSet
from features.offline import history
from features.registry.snapshot import registry_snapshot
from tests.factories import (
    ago,
    make_customer,
    make_event,
    make_purchase,
    make_version,
    make_weight_set,
    rows_of,
    store_events,
)
from tests.reference import RFM_SCORE

OTHER_WEIGHTS = Weights(
    weight={
        "page_view": 0.05,
        "email_open": 0.1,
        "email_click": 0.2,
        "form_submit": 0.3,
        "purchase": 0.2,
        "login": 0.4,
    },
    norm={"page_view": 3, "email_open": 7, "email_click": 2, "form_submit": 1.5, "purchase": 4, "login": 9},
    monetary_norm=77.0,
)
WINDOW_DAYS = settings.WINDOW_DAYS
moments = st.integers(0, 31 * 86_400).map(lambda seconds: ago(seconds=seconds))
logs = st.lists(
    st.builds(
        make_event,
        event_type=st.sampled_from(EVENT_TYPES),
        timestamp=moments,
        session_id=st.sampled_from([None, "s1", "s2"]),
        metadata=st.fixed_dictionaries({}, optional={"amount": st.floats(0, 1e6), "category": st.sampled_from("ab")}),
    ),
    max_size=8,
)


def compute(customer_id: str = "c1") -> None:
    with transaction.atomic():
        computation.compute_from_events([customer_id])


def scored(activity: Activity, *, at: datetime) -> dict[str, Any]:
    columns = behavioral_features(activity, weights=OTHER_WEIGHTS, as_of_us=microseconds(at), window_days=WINDOW_DAYS)
    return {name: column.tolist() for name, column in columns.items()}


def test_every_value_of_a_customer_is_what_was_worked_out_by_hand(db: None) -> None:
    start = ago(hours=2)
    store_events(
        make_event(session_id="long", timestamp=start),
        make_event(session_id="long", timestamp=start + timedelta(seconds=90)),
        make_event(session_id="short", timestamp=start),
        make_event(event_type="page_view"),
        make_event(event_type="email_open", metadata={"category": "shoes"}),
        make_event(event_type="email_click", metadata={"category": "hats"}),
        make_event(event_type="form_submit"),
        make_event(event_type="login"),
        make_event(event_type="login"),
        make_purchase(amount=19.99, category="shoes", timestamp=start),
        make_purchase(amount=80.01, category="shoes", timestamp=start - timedelta(days=3)),
        make_event(timestamp=ago(days=31)),
        make_event(customer_id="somebody else"),
    )
    compute()
    (row,) = rows_of("c1")
    age = (row.timestamp - start).total_seconds() / 86_400
    expected = {
        "engagement_score": 0.3 * 4 / 100 + 0.2 * 1 / 50 + 0.2 * 1 / 20 + 0.3 * 2 / 10 + 0.1 * 2 / 30,
        "page_views_30d": 4,
        "email_opens_30d": 1,
        "email_clicks_30d": 1,
        "form_submits_30d": 1,
        "purchases_30d": 2,
        "conversion_rate": 0.25,
        "login_frequency": 2,
        "session_duration": 45,
        "recency_score": 1 - age / 30,
        "frequency_score": 0.2,
        "purchase_amount_30d": 100,
        "monetary_score": 0.1,
        "category_preferences": 0.75,
    }
    assert row.features == pytest.approx(expected, rel=1e-12)
    assert list(expected) == list(BEHAVIORAL_FEATURES)
    (derived,) = rows_of("c1", "derived")
    assert derived.features == pytest.approx({RFM_SCORE: (expected["recency_score"] + 0.2 + 0.1) / 3}, rel=1e-12)
    assert (row.version, derived.version, row.timestamp) == ("1.0", "1.0", derived.timestamp)


def test_a_row_names_the_weight_set_it_was_scored_under(db: None) -> None:
    make_customer("c1", login=3)
    draft = make_weight_set(weights={"login": (1.0, 30)})
    weight_set_steps.activate(draft.pk, by=None, reason="A test")
    compute()
    first, second = rows_of("c1")
    assert (second.metadata["weight_set"], second.features["engagement_score"]) == (draft.pk, 0.1)
    assert first.metadata["weight_set"] != draft.pk
    assert Customer.objects.get().weight_set_id == draft.pk


def test_a_computation_is_noted_whether_or_not_a_value_changed(db: None) -> None:
    make_customer("c1", page_view=1)
    first = Customer.objects.get()
    compute()
    second = Customer.objects.get()
    assert second.computed_at > first.computed_at
    assert len(rows_of("c1")) == 1
    assert second.weight_set_id == WeightSet.objects.get(state="active").pk


def test_a_customer_is_computed_anew_when_its_oldest_counted_event_leaves(db: None) -> None:
    oldest = ago(days=29)
    store_events(make_event(timestamp=ago(days=30.5)), make_event(timestamp=oldest), make_event())
    compute()
    assert Customer.objects.get().recompute_at == oldest + timedelta(days=30)


def test_a_customer_is_computed_anew_when_an_event_leaves_the_narrowest_window_that_counts_it(db: None) -> None:
    windows = {"logins_1h": ("login", "1h"), "logins_6h": ("login", "6h"), "views_2h": ("page_view", "2h")}
    made = {name: {"event_type": kind, "window": window} for name, (kind, window) in windows.items()}
    make_version("behavioral", state="shadow", **made)
    login, view = ago(hours=5), ago(minutes=90)
    store_events(make_event(event_type="login", timestamp=login), make_event(timestamp=view), make_event())
    compute()
    assert Customer.objects.get().recompute_at == view + timedelta(hours=2)
    login = ago(minutes=50)
    store_events(make_event(event_type="login", timestamp=login))
    compute()
    assert Customer.objects.get().recompute_at == login + timedelta(hours=1)


def test_a_customer_without_counted_events_has_zeros_and_is_not_active(db: None) -> None:
    store_events(make_event(timestamp=ago(days=40)))
    compute()
    assert set(rows_of("c1")[0].features.values()) == {0.0}
    assert Customer.objects.get().recompute_at is None


def test_an_earlier_moment_takes_nothing_back_that_was_noted_later(db: None) -> None:
    make_customer("c1", page_view=1)
    before = Customer.objects.values().get()
    recompute.recompute_customers(customer_ids=["c1"], as_of=ago(days=3))
    assert Customer.objects.values().get() == before


def test_nobody_to_compute_is_nothing_to_do(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        computation.compute_from_events([])
        computation.compute_from_history([])


def test_many_customers_cost_as_many_statements_as_one(db: None, django_assert_num_queries: Any) -> None:
    names = [f"c{number}" for number in range(50)]
    store_events(*(make_event(customer_id=name) for name in names), make_event(customer_id="one"))
    registry_snapshot.get()
    with django_assert_num_queries(15, exact=False) as queries:
        computation.compute_from_events(["one"])
    with django_assert_num_queries(len(queries)):
        computation.compute_from_events(names)
    assert Customer.objects.count() == 51


@given(first=logs, second=logs)
def test_other_weights_need_no_events_whatever_was_and_was_not_appended(
    db: None, first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    """The stored activity gives the same scores, under any weights, as the activity read from the events."""
    with transaction.atomic():
        for log in (first, second):
            store_events(*log)
            compute()
        (row,) = history.latest(["c1"], versions=[("behavioral", "1.0")])
        at = Customer.objects.get().computed_at
        assert at is not None
        kept = Activity.from_records(["c1"], [row.metadata["activity"]])
        assert scored(kept, at=at) == scored(postgres.aggregate(["c1"], as_of=at, window_days=WINDOW_DAYS), at=at)
        transaction.set_rollback(True)
