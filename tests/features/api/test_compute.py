"""POST /api/v1/features/compute/."""

from datetime import UTC, datetime
from typing import Any

import pytest

from events.models import DirtyCustomer, Event
from features.formulas.behavioral import BEHAVIORAL_FEATURES
from features.materialization import isolation, refresh
from features.models import Customer, CustomerFeature, WeightSet
from features.registry.snapshot import registry_snapshot
from tests.api_client import ApiClient, error_of
from tests.factories import ago, make_event, make_purchase, rows_of, store_events

COMPUTE = "/api/v1/features/compute/"
NOON = "2026-03-15T12:00:00Z"


def event(event_type: str = "page_view", **fields: Any) -> dict[str, Any]:
    return make_event(**{"timestamp": "2026-03-15T11:00:00Z", "event_type": event_type, **fields})


def post(api: ApiClient, *events: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = api.post(COMPUTE, {"events": list(events), "as_of": NOON, **fields})
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def test_the_formulas_are_computed_on_the_events_given(api: ApiClient) -> None:
    answer = post(
        api,
        *(event() for _ in range(25)),
        *(event("purchase", metadata={"amount": 125, "category": category}) for category in "aab"),
    )
    features = answer.pop("features")
    assert set(features) == set(BEHAVIORAL_FEATURES)
    assert features["engagement_score"] == pytest.approx(0.3 * 0.25 + 0.3 * 0.3)
    assert features["monetary_score"] == 0.375
    assert features["category_preferences"] == pytest.approx(2 / 3)
    assert features["recency_score"] == pytest.approx(1 - 1 / 720)
    metadata = answer.pop("metadata")
    assert metadata["weight_set"] == WeightSet.objects.get(state="active").pk
    assert metadata["unclamped_score"] == features["engagement_score"]
    assert answer.pop("derived") == {"rfm_score": pytest.approx((1 - 1 / 720 + 0.3 + 0.375) / 3)}
    assert answer == {"customer_id": "c1", "timestamp": NOON, "feature_type": "behavioral", "version": "1.0"}


def test_nothing_is_stored(api: ApiClient) -> None:
    post(api, event())
    assert [model.objects.count() for model in (Event, DirtyCustomer, Customer, CustomerFeature)] == [0] * 4


def test_the_result_is_what_storing_the_events_would_give(api: ApiClient) -> None:
    events = [
        make_event(session_id="s"),
        make_event(session_id="s", timestamp=ago(minutes=3)),
        make_purchase(amount=0.1, category="é"),
        make_purchase(amount=0.2, timestamp=ago(days=29.9)),
        make_event(timestamp=ago(days=30.1)),
    ]
    store_events(*events)
    refresh.refresh_dirty()
    (row,) = rows_of("c1")
    answer = post(api, *events, as_of=row.timestamp.isoformat())
    assert answer["features"] == row.features
    assert answer["metadata"]["activity"] == row.metadata["activity"]


def test_as_of_is_now_unless_it_is_given(api: ApiClient) -> None:
    response = api.post(COMPUTE, {"events": [make_event(), make_event(timestamp=ago(days=31))]})
    assert response.json()["features"]["page_views_30d"] == 1.0
    assert datetime.fromisoformat(response.json()["timestamp"]) > ago(minutes=1)


def test_no_events_give_zeros(api: ApiClient) -> None:
    answer = post(api)
    assert set(answer["features"].values()) == {0.0}
    assert answer["customer_id"] == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.03),
        ({"page_view": {}}, 0.03),
        ({"page_view": {"weight": 0.5}}, 0.05),
        ({"page_view": {"norm": 20}}, 0.15),
        ({"page_view": {"weight": 0.5, "norm": 20}, "login": {"weight": 1}}, 0.25),
        ({"page_view": {"weight": 0}}, 0.0),
        ({"page_view": {"weight": 5, "norm": 5e-324}}, 1.0),
        ({"page_view": {"weight": 1.7e308, "norm": 1}, "login": {"weight": 1.7e308, "norm": 1}}, 1.0),
    ],
)
def test_other_weights_can_be_tried(api: ApiClient, changes: dict[str, Any], expected: float) -> None:
    answer = post(api, *(event() for _ in range(10)), weights=changes)
    assert answer["features"]["engagement_score"] == pytest.approx(expected)


def test_what_is_tried_names_no_weight_set(api: ApiClient) -> None:
    assert post(api, weights={"login": {"weight": 1}})["metadata"]["weight_set"] is None
    assert post(api, monetary_norm=10)["metadata"]["weight_set"] is None


def test_the_monetary_norm_can_be_tried(api: ApiClient) -> None:
    bought = event("purchase", metadata={"amount": 5})
    assert post(api, bought, monetary_norm=10)["features"]["monetary_score"] == 0.5
    assert post(api, bought, monetary_norm=5e-324)["features"]["monetary_score"] == 1.0


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"weights": {"guess": {"weight": 1}}}, "weights"),
        ({"weights": {"page_view": 1}}, "weights.page_view"),
        ({"weights": {"page_view": {"weight": -0.1}}}, "weights.page_view.weight"),
        ({"weights": {"page_view": {"norm": 0}}}, "weights.page_view.norm"),
        ({"weights": {"page_view": {"norm": -1}}}, "weights.page_view.norm"),
        ({"weights": {"page_view": {"weight": "1"}}}, "weights.page_view.weight"),
        ({"weights": []}, "weights"),
        ({"monetary_norm": 0}, "monetary_norm"),
        ({"monetary_norm": "10"}, "monetary_norm"),
        ({"as_of": "2026-03-15"}, "as_of"),
        ({"as_of": "2026-03-15T12:00:00"}, "as_of"),
        ({"as_of": 0}, "as_of"),
        ({"as_of": "0001-01-01T00:00:00Z"}, "as_of"),
        ({"as_of": "0001-01-20T00:00:00+14:00"}, "as_of"),
        ({"as_of": "1969-12-31T23:59:59Z"}, "as_of"),
        ({"as_of": "9999-12-31T23:59:59-14:00"}, "as_of"),
        ({"events": [event(), event(event_type="guess")]}, "events.1.event_type"),
        ({"events": [event(metadata={"amount": -1})]}, "events.0.metadata.amount"),
        ({"events": [event(customer_id="a b")]}, "events.0.customer_id"),
        ({"events": [event(), event(customer_id="c2")]}, "events"),
        ({"events": None}, "events"),
    ],
)
def test_what_is_wrong_is_named(api: ApiClient, changes: dict[str, Any], attr: str) -> None:
    assert error_of(api.post(COMPUTE, {"events": [], **changes})) == (400, attr)


@pytest.mark.parametrize("as_of", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_any_moment_a_feature_can_hold_at_is_answered(api: ApiClient, as_of: str) -> None:
    assert post(api, event(), as_of=as_of)["features"]["page_views_30d"] == 0.0


def test_ten_thousand_events_are_computed_and_one_more_is_refused(api: ApiClient) -> None:
    events = [event("purchase", metadata={"amount": 1.7976931348623157e308})] * 10_000
    assert post(api, *events)["features"]["purchases_30d"] == 1.0
    assert error_of(api.post(COMPUTE, {"events": [*events, event()]})) == (400, "events")


def test_a_moment_in_another_offset_is_answered_in_utc(api: ApiClient) -> None:
    assert post(api, as_of="2026-03-15T14:00:00+02:00")["timestamp"] == NOON
    assert datetime.fromisoformat(post(api)["timestamp"]).tzinfo == UTC


def test_with_the_derived_version_put_aside_there_are_no_derived_values(api: ApiClient) -> None:
    isolation.put_aside(registry_snapshot.get(younger_than=0).view("derived", "1.0"), because="A test")
    registry_snapshot.forget()
    answer = api.post(COMPUTE, {"events": []})
    assert (answer.status_code, answer.json()["derived"]) == (200, {})
