"""GET /api/v1/customers/{id}/explanation/."""

from functools import reduce
from operator import add
from typing import Any

import pytest

from events.event_types import EVENT_TYPES
from features.models import WeightSet
from tests.api_client import ApiClient, error_of
from tests.factories import make_customer, make_weight_set, url_of


def get(api: ApiClient, customer_id: str = "c1") -> dict[str, Any]:
    response = api.get(url_of(customer_id, "explanation/"))
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def test_each_event_types_part_is_shown(api: ApiClient) -> None:
    make_customer("c1", page_view=25, purchase=2, email_click=40)
    explanation = get(api)
    parts = {part.pop("event_type"): part for part in explanation["contributions"]}
    assert list(parts) == list(EVENT_TYPES)
    assert parts["page_view"] == {
        "count": 25, "norm": 100.0, "normalised": 0.25, "weight": 0.3, "contribution": pytest.approx(0.075),
    }  # fmt: skip
    assert parts["email_click"] == {"count": 40, "norm": 20.0, "normalised": 1.0, "weight": 0.0, "contribution": 0.0}
    assert parts["login"]["count"] == 0
    assert explanation["unclamped_score"] == explanation["engagement_score"] == pytest.approx(0.135)
    assert explanation["weight_set"] == WeightSet.objects.get(state="active").pk
    assert (explanation["customer_id"], explanation["computed_at"][-1]) == ("c1", "Z")


@pytest.mark.parametrize("counts", [{"purchase": 3}, {"page_view": 7, "login": 1, "form_submit": 9, "email_open": 13}])
def test_the_parts_add_up_to_the_score(api: ApiClient, counts: dict[str, int]) -> None:
    make_customer("c1", **counts)
    explanation = get(api)
    parts = [part["contribution"] for part in explanation["contributions"]]
    assert reduce(add, parts) == explanation["unclamped_score"]
    score = api.get(url_of("c1"), {"names": "engagement_score"}).json()["features"]["engagement_score"]
    assert explanation["engagement_score"] == explanation["unclamped_score"] == score


def test_a_clamped_score_shows_what_it_was_before(api: ApiClient) -> None:
    make_customer("c1", page_view=100, email_open=50, form_submit=20, purchase=10, login=30)
    explanation = get(api)
    assert explanation["unclamped_score"] == pytest.approx(1.1)
    assert explanation["engagement_score"] == 1.0


@pytest.mark.parametrize("source", ["database", "cache"])
def test_a_customer_nobody_has_heard_of_has_a_score_of_zero(api: ApiClient, source: str) -> None:
    if source == "cache":
        get(api)
    assert get(api) == {
        "customer_id": "c1",
        "weight_set": None,
        "computed_at": None,
        "contributions": [],
        "unclamped_score": 0.0,
        "engagement_score": 0.0,
    }


def test_an_id_that_can_be_nobodys_is_refused(api: ApiClient) -> None:
    assert error_of(api.get(url_of("a b", "explanation/"))) == (400, "customer_id")


def test_under_a_draft_the_same_activity_is_weighed_with_its_numbers(api: ApiClient) -> None:
    make_customer("c1", login=3)
    draft = make_weight_set(weights={"login": (0.8, 6.0)})
    explanation = api.get(url_of("c1", f"explanation/?weights={draft.pk}")).json()
    assert (explanation["weight_set"], explanation["engagement_score"]) == (draft.pk, pytest.approx(0.4))
    parts = {part["event_type"]: part["contribution"] for part in explanation["contributions"]}
    assert reduce(add, parts.values()) == explanation["unclamped_score"]
    assert get(api)["engagement_score"] == pytest.approx(0.01)


def test_under_a_draft_too_the_score_is_at_most_one(api: ApiClient) -> None:
    make_customer("c1", login=3)
    draft = make_weight_set(weights={"login": (5.0, 1.0)})
    explanation = api.get(url_of("c1", f"explanation/?weights={draft.pk}")).json()
    assert (explanation["unclamped_score"], explanation["engagement_score"]) == (5.0, 1.0)


@pytest.mark.parametrize(
    ("weights", "status", "sentence"),
    [
        ("999999", 404, "There is no weight set 999999."),
        ("", 400, "It must be the id of a weight set"),
        ("first", 400, "It must be the id of a weight set"),
        ("-1", 400, "It must be the id of a weight set"),
        ("9" * 30, 400, "It must be the id of a weight set"),
    ],
)
def test_a_weight_set_that_is_none_is_refused(api: ApiClient, weights: str, status: int, sentence: str) -> None:
    response = api.get(url_of("c1", f"explanation/?weights={weights}"))
    error = response.json()["errors"][0]
    assert (response.status_code, sentence in error["detail"]) == (status, True)
