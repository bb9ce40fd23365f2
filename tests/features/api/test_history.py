"""GET /api/v1/customers/{id}/features/{name}/history/."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from features.models import CustomerFeature, FeatureVersion
from tests.api_client import ApiClient, error_of
from tests.factories import forget_registry, make_customer, rows_of, url_of

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
NAME = "tenure_days"


def history(name: str = NAME) -> str:
    return url_of("c1", f"features/{quote(name, safe='')}/history/")


def make_rows(number: int, *, name: str = NAME, version: str = "1.0", every: timedelta = timedelta(hours=1)) -> None:
    """Make rows of c1 with the values 0, 1, 2, … from NOON on."""
    CustomerFeature.objects.bulk_create(
        CustomerFeature(
            customer_id="c1",
            feature_type="customer",
            version=version,
            timestamp=NOON + position * every,
            features={name: float(position)},
            metadata={"row": position},
        )
        for position in range(number)
    )


def get(api: ApiClient, url: str | None = None, **query: Any) -> dict[str, Any]:
    response = api.get(url or history(), query)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def values(answer: dict[str, Any], name: str = NAME) -> list[float]:
    return [row["features"][name] for row in answer["results"]]


def test_rows_that_hold_the_name_are_given_newest_first(api: ApiClient) -> None:
    make_rows(2)
    make_rows(1, name="loyalty_tier")
    answer = get(api)
    assert (answer["next"], answer["previous"], values(answer)) == (None, None, [1.0, 0.0])
    newest = answer["results"][0]
    assert (
        datetime.fromisoformat(newest.pop("recorded_at"))
        == CustomerFeature.objects.get(metadata={"row": 1}).recorded_at
    )
    assert newest == {
        "customer_id": "c1",
        "features": {NAME: 1.0},
        "timestamp": "2026-03-15T13:00:00Z",
        "feature_type": "customer",
        "version": "1.0",
        "metadata": {"row": 1},
    }


def test_the_history_of_a_computed_value_names_its_weight_set(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    (row,) = get(api, history("engagement_score"))["results"]
    assert row["metadata"]["weight_set"] == rows_of("c1")[0].metadata["weight_set"]


@pytest.mark.parametrize("every", [timedelta(hours=1), timedelta(0)])
@pytest.mark.parametrize(("limit", "pages"), [(3, [3, 3, 1]), (7, [7]), (1, [1] * 7), (100, [7])])
def test_pages_follow_each_other_without_gap_or_overlap_and_lead_back(
    api: ApiClient, limit: int, pages: list[int], every: timedelta
) -> None:
    make_rows(7, every=every)
    page = get(api, limit=limit)
    walked = [page]
    while page["next"]:
        page = get(api, page["next"])
        walked.append(page)
    assert [len(page["results"]) for page in walked] == pages
    assert [value for page in walked for value in values(page)] == [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    for before in reversed(walked[:-1]):
        page = get(api, page["previous"])
        assert values(page) == values(before)


def test_pages_hold_still_while_rows_are_appended(api: ApiClient) -> None:
    make_rows(4)
    first = get(api, limit=2)
    make_rows(6)
    assert values(first) == [3.0, 2.0]
    assert values(get(api, first["next"])) == [1.0, 1.0]  # two rows of each moment


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"since": "2026-03-15T14:00:00Z"}, [4.0, 3.0, 2.0]),
        ({"until": "2026-03-15T13:00:00Z"}, [1.0, 0.0]),
        ({"since": "2026-03-15T13:00:00Z", "until": "2026-03-15T14:00:00Z"}, [2.0, 1.0]),
        ({"since": "2026-03-15T15:00:00+02:00", "until": "2026-03-15T13:00:00Z"}, [1.0]),
        ({"since": "2026-03-16T05:00:00+16:00", "until": "2026-03-14T13:00:00-23:59"}, []),
        ({"since": "2026-03-16T05:00:00+16:00", "until": "2026-03-16T12:59:00+23:59"}, [1.0]),
        ({"since": "2026-03-15T13:00:00.000001Z", "until": "2026-03-15T13:59:59.999999Z"}, []),
        ({"since": "2027-01-01T00:00:00Z"}, []),
        ({"since": "2026-03-15T16:00:00Z", "until": "2026-03-15T13:00:00Z"}, []),
        ({"since": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59-14:00"}, [4.0, 3.0, 2.0, 1.0, 0.0]),
    ],
)
def test_since_and_until_belong_to_what_is_given(api: ApiClient, query: dict[str, str], expected: list[float]) -> None:
    make_rows(5)
    assert values(get(api, **query)) == expected


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-03-15", "2026-03-15T12:00:00", "1773576000", "2026-13-01T00:00:00Z", "\x00", "9" * 99],
)
def test_a_moment_that_is_none_is_named(api: ApiClient, name: str, text: str) -> None:
    assert error_of(api.get(history(), {name: text})) == (400, name)


@pytest.mark.parametrize("limit", ["0", "-1", "abc", "", "1.5", "1001", "9" * 30, "\x00", "١"])
def test_a_limit_is_a_number_from_1_to_1000(api: ApiClient, limit: str) -> None:
    assert error_of(api.get(history(), {"limit": limit})) == (400, "limit")


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "%%%", "cD1mb28=", "é", "\x00", "older", "older-1", "older-1-", "older--1-1", "newest-1-1",
        "older-1-1-1", "older-1-" + "9" * 19, "older-" + "9" * 17 + "-1", "older-١-1",
    ],
)  # fmt: skip
def test_a_cursor_that_is_not_ours_is_refused(api: ApiClient, cursor: str) -> None:
    assert error_of(api.get(history(), {"cursor": cursor})) == (400, "cursor")


@pytest.mark.parametrize("cursor", ["older-0-0", "newer-9999999999999999-999999999999999999"])
def test_a_cursor_beyond_all_rows_leads_to_an_empty_page(api: ApiClient, cursor: str) -> None:
    make_rows(2)
    assert get(api, cursor=cursor) == {"next": None, "previous": None, "results": []}


def test_a_page_is_one_query_by_the_index(api: ApiClient, django_assert_num_queries: Any) -> None:
    make_rows(3)
    first = get(api, limit=1)
    with django_assert_num_queries(1):
        get(api, first["next"])


@pytest.mark.parametrize("name", ["foo", "_behavioral", "é", "a b", "\x00", "x" * 300])
def test_an_unknown_name_is_not_found(api: ApiClient, name: str) -> None:
    assert error_of(api.get(history(name)))[0] == 404


def test_another_version_has_a_history_of_its_own(api: ApiClient) -> None:
    FeatureVersion.objects.create(feature_type="customer", number="2.0", state="shadow")
    forget_registry()
    make_rows(2)
    make_rows(3, version="2.0")
    assert [len(get(api, version=version)["results"]) for version in ("customer:2.0", "2.0", "1.0")] == [3, 3, 2]
    assert len(get(api)["results"]) == 2


@pytest.mark.parametrize("version", ["3.0", "", "behavioral:1.0", "customer:", "\x00"])
def test_an_unknown_version_is_not_found(api: ApiClient, version: str) -> None:
    assert error_of(api.get(history(), {"version": version}))[0] == 404


def test_a_customer_nobody_has_heard_of_has_an_empty_history(api: ApiClient) -> None:
    assert get(api) == {"next": None, "previous": None, "results": []}


def test_no_link_leads_to_a_host_that_is_not_ours(api: ApiClient) -> None:
    make_rows(2)
    assert error_of(api.get(history(), {"limit": 1}, headers={"host": "evil.example"})) == (400, None)
