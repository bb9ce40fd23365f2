"""The contract's section 3, row by row, with values worked out by hand; then properties for all numbers."""

import math
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.event_types import EVENT_TYPES
from features.formulas.activity import LARGEST, MICROSECONDS_PER_DAY, NEVER, Activity, counts_in
from features.formulas.behavioral import (
    BEHAVIORAL_FEATURES,
    Weights,
    behavioral_features,
    recency_score,
    unclamped_score,
)
from features.serving.explanation import contributions
from tests.factories import first_weights
from tests.reference import rfm_score

AS_OF = 1_800_000_000_000_000
DAYS = MICROSECONDS_PER_DAY
NOTHING = {
    **dict.fromkeys(EVENT_TYPES, 0),
    "purchase_amount": 0.0,
    "last_purchase_us": NEVER,
    "first_event_us": NEVER,
    "sessions": 0,
    "session_us": 0,
    "categorised_events": 0,
    "top_category_events": 0,
}

positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
counts = st.fixed_dictionaries({name: st.integers(0, 10**9) for name in EVENT_TYPES})
weight_sets = st.builds(
    Weights,
    weight=st.fixed_dictionaries({name: st.floats(min_value=0, allow_infinity=False) for name in EVENT_TYPES}),
    norm=st.fixed_dictionaries(dict.fromkeys(EVENT_TYPES, positive)),
    monetary_norm=positive,
)


def values(weights: Weights | None = None, **activity: Any) -> dict[str, float]:
    """Return the behavioral values at AS_OF of one customer with this activity and nothing else."""
    one = Activity.from_records(["c1"], [NOTHING | activity])
    columns = behavioral_features(one, weights=weights or first_weights(), as_of_us=AS_OF, window_days=30)
    return {name: column.item() for name, column in columns.items()}


@pytest.mark.parametrize(
    ("activity", "name", "expected"),
    [
        # 0.3 · 50/100
        ({"page_view": 50}, "engagement_score", 0.15),
        # 0.3 · 25/100 + 0.2 · 10/50 + 0.2 · 5/20 + 0.3 · 2/10 + 0.1 · 6/30
        (
            {"page_view": 25, "email_open": 10, "form_submit": 5, "purchase": 2, "login": 6},
            "engagement_score",
            0.075 + 0.04 + 0.05 + 0.06 + 0.02,
        ),
        # The first weight of e-mail clicks is 0.
        ({"email_click": 20}, "engagement_score", 0.0),
        # An event type contributes its whole weight at its norm and above.
        ({"purchase": 10}, "engagement_score", 0.3),
        ({"purchase": 11}, "engagement_score", 0.3),
        # All event types at their norms sum to 1.1, so the clamp is needed.
        (
            {"page_view": 100, "email_open": 50, "form_submit": 20, "purchase": 10, "login": 30, "email_click": 20},
            "engagement_score",
            1.0,
        ),
        ({"page_view": 7}, "page_views_30d", 7.0),
        ({"email_open": 8}, "email_opens_30d", 8.0),
        ({"email_click": 9}, "email_clicks_30d", 9.0),
        ({"form_submit": 10}, "form_submits_30d", 10.0),
        ({"purchase": 11}, "purchases_30d", 11.0),
        ({"login": 12}, "login_frequency", 12.0),
        ({"form_submit": 3, "page_view": 4}, "conversion_rate", 0.75),
        ({"form_submit": 5, "page_view": 2}, "conversion_rate", 2.5),
        ({"form_submit": 5}, "conversion_rate", 0.0),
        ({"sessions": 3, "session_us": 90_000_000}, "session_duration", 30.0),
        ({"sessions": 2, "session_us": 1}, "session_duration", 0.0000005),
        ({"sessions": 4, "session_us": 0}, "session_duration", 0.0),
        ({"last_purchase_us": AS_OF}, "recency_score", 1.0),
        ({"last_purchase_us": AS_OF - 15 * DAYS}, "recency_score", 0.5),
        ({"last_purchase_us": AS_OF - 30 * DAYS}, "recency_score", 0.0),
        # The purchase has left the window since the activity was read.
        ({"last_purchase_us": AS_OF - 45 * DAYS}, "recency_score", 0.0),
        ({"last_purchase_us": AS_OF - 1}, "recency_score", 1 - 1 / (30 * 86_400 * 1_000_000)),
        ({"purchase": 3}, "frequency_score", 0.3),
        ({"purchase": 10}, "frequency_score", 1.0),
        ({"purchase": 11}, "frequency_score", 1.0),
        ({"purchase_amount": 123.45}, "purchase_amount_30d", 123.45),
        ({"purchase_amount": 250.0}, "monetary_score", 0.25),
        ({"purchase_amount": 1000.0}, "monetary_score", 1.0),
        ({"purchase_amount": LARGEST}, "monetary_score", 1.0),
        ({"categorised_events": 4, "top_category_events": 3}, "category_preferences", 0.75),
        ({"categorised_events": 1, "top_category_events": 1}, "category_preferences", 1.0),
    ],
)
def test_a_value_is_what_the_contract_says(activity: dict[str, Any], name: str, expected: float) -> None:
    assert values(**activity)[name] == pytest.approx(expected, rel=1e-15, abs=0)


def test_a_customer_without_events_has_zeros() -> None:
    assert values() == dict.fromkeys(BEHAVIORAL_FEATURES, 0.0)


def test_the_derived_score_is_the_mean_of_three() -> None:
    assert rfm_score(np.array([0.5]), frequency=np.array([0.3]), monetary=np.array([0.25])).tolist() == [1.05 / 3]


def test_a_monetary_norm_of_another_weight_set_counts() -> None:
    weights = Weights(weight=first_weights().weight, norm=first_weights().norm, monetary_norm=50.0)
    assert values(weights, purchase_amount=25.0)["monetary_score"] == 0.5


def test_a_batch_gives_each_customer_what_they_would_get_alone() -> None:
    rows = [NOTHING | {"page_view": number, "sessions": number, "session_us": number**3} for number in range(5)]
    batch = Activity.from_records([f"c{number}" for number in range(5)], rows)
    columns = behavioral_features(batch, weights=first_weights(), as_of_us=AS_OF, window_days=30)
    for number, row in enumerate(rows):
        assert {name: column[number].item() for name, column in columns.items()} == values(**row)


def test_a_batch_of_no_customers_gives_empty_columns() -> None:
    columns = behavioral_features(
        Activity.from_records([], []), weights=first_weights(), as_of_us=AS_OF, window_days=30
    )
    assert {name: column.tolist() for name, column in columns.items()} == {name: [] for name in BEHAVIORAL_FEATURES}


@given(counts=counts, weights=weight_sets, amount=st.floats(0, LARGEST), age=st.integers(0, 30 * DAYS))
def test_every_value_is_finite_and_every_score_a_share(
    counts: dict[str, int], weights: Weights, amount: float, age: int
) -> None:
    given = values(weights, **counts, purchase_amount=amount, last_purchase_us=AS_OF - age)
    assert all(math.isfinite(value) and value >= 0 for value in given.values())
    for name in ("engagement_score", "recency_score", "frequency_score", "monetary_score"):
        assert given[name] <= 1


@given(counts=counts, weights=weight_sets, event_type=st.sampled_from(EVENT_TYPES), more=st.integers(1, 1000))
def test_one_more_event_never_lowers_the_score(
    counts: dict[str, int], weights: Weights, event_type: str, more: int
) -> None:
    score = values(weights, **counts)["engagement_score"]
    assert values(weights, **counts | {event_type: counts[event_type] + more})["engagement_score"] >= score


@given(counts=counts, weights=weight_sets)
def test_the_contributions_add_up_to_the_score_before_the_clamp(counts: dict[str, int], weights: Weights) -> None:
    explained = contributions(counts, weights=weights, names=EVENT_TYPES)
    added = min(reduce(add, [row["contribution"] for row in explained["contributions"]]), LARGEST)
    assert explained["unclamped_score"] == added
    assert min(added, 1.0) == values(weights, **counts)["engagement_score"]
    assert all(0 <= row["normalised"] <= 1 for row in explained["contributions"])


@given(earlier=st.integers(0, 30 * DAYS), later=st.integers(0, 30 * DAYS), window_days=st.integers(30, 3650))
def test_a_later_purchase_is_never_less_recent(earlier: int, later: int, window_days: int) -> None:
    earlier, later = max(earlier, later), min(earlier, later)
    scores = recency_score(np.array([AS_OF - earlier, AS_OF - later]), as_of_us=AS_OF, window_days=window_days)
    assert 0 <= scores[0] <= scores[1] <= 1


@given(counts=counts)
def test_weights_of_zero_give_a_score_of_zero(counts: dict[str, int]) -> None:
    weights = Weights(weight=dict.fromkeys(EVENT_TYPES, 0.0), norm=first_weights().norm, monetary_norm=1.0)
    columns = {name: np.array([number]) for name, number in counts.items()}
    assert unclamped_score(columns, weights=weights).tolist() == [0.0]


@given(
    records=st.lists(
        st.fixed_dictionaries(
            {
                name: st.floats(0, LARGEST) if name == "purchase_amount" else st.integers(NEVER, 2**63 - 1)
                for name in NOTHING
            }
        )
    )
)
def test_activity_survives_the_way_to_records_and_back(records: list[dict[str, Any]]) -> None:
    customer_ids = [f"c{number}" for number in range(len(records))]
    assert Activity.from_records(customer_ids, records).to_records() == records


# --- Types that are not there from the start --------------------------------------------------------------------------


def test_a_further_type_adds_its_share_of_the_norm() -> None:
    first = first_weights()
    weights = replace(first, weight={**first.weight, "trial_started": 0.4}, norm={**first.norm, "trial_started": 4})
    record = {"page_view": 50, "other_types": {"trial_started": 1}}
    assert values(weights, **record)["engagement_score"] == pytest.approx(0.15 + 0.1)
    assert values(first, **record)["engagement_score"] == values(first, page_view=50)["engagement_score"]


def test_a_set_that_says_nothing_of_a_type_reads_as_weight_0_and_norm_100() -> None:
    assert (first_weights().weight_of("trial_started"), first_weights().norm_of("trial_started")) == (0.0, 100.0)


@given(extra=st.dictionaries(st.sampled_from([f"t{number}" for number in range(50)]), st.integers(0, 100)))
def test_a_score_does_not_depend_on_the_order_of_fifty_types(extra: dict[str, int]) -> None:
    first = first_weights()
    more = {f"t{number}": 0.01 * (number + 1) / 7 for number in range(50)}
    weights = replace(first, weight={**first.weight, **more})
    turned = replace(first, weight=dict(reversed(weights.weight.items())))
    record = NOTHING | {"page_view": 9, "login": 1}
    one, other = (
        Activity.from_records(["c1"], [record | {"other_types": dict(order)}])
        for order in (extra.items(), reversed(extra.items()))
    )
    assert unclamped_score(one.counts, weights=weights).item() == unclamped_score(other.counts, weights=turned).item()


def test_stored_activity_names_only_the_further_types_that_a_customer_has_events_of() -> None:
    records = [NOTHING | {"other_types": {"trial_started": 3}}, NOTHING]
    activity = Activity.from_records(["c1", "c2"], records)
    assert activity.counts["trial_started"].tolist() == [3, 0]
    assert activity.to_records() == records
    assert counts_in(records[0])["trial_started"] == 3
    assert counts_in(records[1]).get("trial_started", 0) == 0
