"""GET /api/v1/weights/."""

import pytest

from features.lifecycle import weight_set_steps
from features.models import WeightSet
from tests.api_client import ApiClient
from tests.factories import make_version, make_weight_set


def test_the_first_weights_are_those_of_the_contract(api: ApiClient) -> None:
    answer = api.get("/api/v1/weights/").json()
    assert answer["results"] == [answer["active"]]
    active = answer["active"]
    assert active["weights"] == {
        "page_view": {"weight": 0.3, "norm": 100.0},
        "email_open": {"weight": 0.2, "norm": 50.0},
        "email_click": {"weight": 0.0, "norm": 20.0},
        "form_submit": {"weight": 0.2, "norm": 20.0},
        "purchase": {"weight": 0.3, "norm": 10.0},
        "login": {"weight": 0.1, "norm": 30.0},
    }
    assert (active["version"], active["state"], active["origin"], active["monetary_norm"]) == (
        "1.0", "active", "hand", 1000.0,
    )  # fmt: skip
    assert active["activated_at"]


def test_earlier_sets_follow_the_active_one_and_drafts_do_not_show(api: ApiClient) -> None:
    make_weight_set(name="Never shown")
    draft = make_weight_set(name="Logins first", weights={"login": (0.9, 3)})
    weight_set_steps.activate(draft.pk, by=None, reason="They come back")
    answer = api.get("/api/v1/weights/").json()
    assert [(row["name"], row["state"]) for row in answer["results"]] == [
        ("Logins first", "active"),
        ("First weights", "superseded"),
    ]
    assert answer["active"]["weights"]["login"] == {"weight": 0.9, "norm": 3.0}


def test_the_queries_do_not_grow_with_the_sets(api: ApiClient, django_assert_max_num_queries: object) -> None:
    for number in range(5):
        weight_set_steps.activate(make_weight_set(name=f"Set {number}").pk, by=None, reason="A test")
    api.get("/api/v1/weights/")  # the key is loaded, and its use noted
    with django_assert_max_num_queries(3):  # type: ignore[operator]
        assert len(api.get("/api/v1/weights/").json()["results"]) == 6
    assert WeightSet.objects.filter(state="active").count() == 1


@pytest.mark.parametrize("query", ["?x=1", "?\x00", "?version=9"])
def test_a_query_is_refused(api: ApiClient, query: str) -> None:
    assert api.get(f"/api/v1/weights/{query}").status_code == 400


def test_the_active_set_is_the_live_versions_whatever_is_in_shadow(api: ApiClient) -> None:
    make_version("behavioral", state="shadow")
    answer = api.get("/api/v1/weights/").json()
    assert answer["active"]["version"] == "1.0"
    assert [(row["version"], row["state"]) for row in answer["results"]] == [("2.0", "active"), ("1.0", "active")]
