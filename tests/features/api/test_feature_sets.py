"""GET and POST /api/v1/feature-sets/, and every way to read by a set."""

from typing import Any

import pytest
from django.http import HttpResponse

from features.lifecycle import version_steps
from features.lifecycle.feature_sets import make_feature_set
from features.models import FeatureSetUse, VersionUse
from tests.api_client import ApiClient, error_of
from tests.factories import forget_registry, make_client, make_customer, make_version, url_of

URL = "/api/v1/feature-sets/"
NAMES = ["cart_value", "engagement_score", "recency_score"]
AT = {"customer_id": "c1", "timestamp": "2999-01-01T00:00:00Z"}


def make(name: str = "churn_model", *, names: list[str] = NAMES, **fields: Any) -> str:
    made = make_feature_set(name, names=names, **fields)
    forget_registry()
    return str(made.feature_set)


# --- Making and listing -------------------------------------------------------------------------------------------


def test_a_set_is_made_and_read_at_once(api: ApiClient) -> None:
    body = {"name": "churn_model", "names": NAMES, "version": "behavioral:1.0", "reason": "May"}
    answer = api.post(URL, body)
    assert answer.status_code == 201
    made = answer.json()
    assert made.pop("made_at").endswith("Z")
    assert made == {
        "set": "churn_model:1", "name": "churn_model", "number": 1, "names": NAMES,
        "versions": {"behavioral": "1.0", "contextual": "1.0"}, "readable": True, "reason": "May",
    }  # fmt: skip
    assert api.get(url_of("c1") + "?set=churn_model:1").status_code == 200
    again = api.post(URL, body)
    assert (again.status_code, again.json()["set"]) == (200, "churn_model:1")


def test_making_one_takes_the_scope_write(db: None) -> None:
    body = {"name": "churn_model", "names": NAMES}
    assert make_client("read").post(URL, body).status_code == 403
    assert make_client("write").post(URL, body).status_code == 201


def test_all_sets_those_of_a_name_and_one_are_read(api: ApiClient) -> None:
    for name, names in (("churn_model", NAMES), ("churn_model", NAMES[:1]), ("basket", NAMES[:1])):
        make(name, names=names)
    listed = api.get(URL).json()["results"]
    assert [row["set"] for row in listed] == ["basket:1", "churn_model:2", "churn_model:1"]
    assert [row["set"] for row in api.get(f"{URL}?name=churn_model").json()["results"]] == [
        "churn_model:2", "churn_model:1",
    ]  # fmt: skip
    assert api.get(f"{URL}churn_model:1/").json() == listed[2]


def test_a_set_whose_version_is_retired_is_listed_as_not_readable(api: ApiClient) -> None:
    version = make_version("behavioral", state="shadow")
    make(versions=["2.0"])
    version_steps.retire(version.pk, by=None, reason="Old", confirmed=True)
    forget_registry()
    assert [row["readable"] for row in api.get(URL).json()["results"]] == [False]
    answer = api.get(url_of("c1") + "?set=churn_model:1")
    assert error_of(answer)[0] == 404
    assert answer.json()["errors"][0]["detail"] == (
        "churn_model:1 pins behavioral:2.0, which can't be read any more: make a set with a version that can."
    )


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"names": NAMES}, "name"),
        ({"name": "churn_model"}, "names"),
        ({"name": "churn_model", "names": []}, "names"),
        ({"name": "churn_model", "names": ["foo"]}, "names"),
        ({"name": "Churn model", "names": NAMES}, "name"),
        ({"name": "churn_model", "names": NAMES, "version": ["customer:1.0"]}, "version"),
        ({"name": "churn_model", "names": NAMES, "reason": "x" * 2001}, "reason"),
        ({"name": "churn_model", "names": NAMES, "reason": "\0"}, "reason"),
        ({"name": "churn_model", "names": ["\0"]}, "names"),
        ({"name": "churn_model\0", "names": NAMES}, "name"),
        ({"name": "churn_model", "names": NAMES, "versions": []}, "versions"),
    ],
)
def test_a_set_that_can_not_be_made_is_a_400(api: ApiClient, body: dict[str, Any], attr: str) -> None:
    assert error_of(api.post(URL, body)) == (400, attr)


@pytest.mark.parametrize("name", ["nobody", "", "%00", "churn_model:1"])
def test_a_name_that_has_no_set_is_an_empty_list(api: ApiClient, name: str) -> None:
    make()
    assert api.get(f"{URL}?name={name}").json() == {"results": []}


def test_a_version_with_any_characters_is_not_there(api: ApiClient) -> None:
    assert error_of(api.post(URL, {"name": "churn_model", "names": NAMES, "version": "\0:\0"}))[0] == 404


@pytest.mark.parametrize(
    ("written", "status", "detail"),
    [
        ("churn_model:9", 404, "There is no feature set churn_model:9. churn_model has the numbers 2 and 1."),
        ("churn_mode:1", 404, "There is no feature set churn_mode:1. Did you mean churn_model:2?"),
        ("zzz:1", 404, "There is no feature set zzz:1."),
        ("churn_model", 400, "A feature set is written with its number: churn_model:3. churn_model has the numbers"),
        ("churn_model:", 400, "A feature set is written with its number: churn_model:3. churn_model has the numbers"),
        ("churn_model:01", 400, "A feature set is written with its number: churn_model:3. churn_model has"),
        ("Churn model:1", 400, "A feature set is written with its number: churn_model:3."),
        ("%00", 400, "A feature set is written with its number: churn_model:3."),
    ],
)
def test_a_set_that_is_not_there_is_answered_with_those_that_are(
    api: ApiClient, written: str, status: int, detail: str
) -> None:
    make()
    make(names=NAMES[:1])
    for answer in (api.get(f"{URL}{written}/"), api.get(url_of("c1") + f"?set={written}")):
        assert error_of(answer)[0] == status
        assert answer.json()["errors"][0]["detail"].startswith(detail)


def test_of_many_numbers_the_newest_are_named(api: ApiClient) -> None:
    for number in range(8):
        make(names=NAMES[: 1 + number % 2])
    detail = api.get(f"{URL}churn_model:99/").json()["errors"][0]["detail"]
    assert detail.endswith("churn_model has the numbers 8, 7, 6, 5, 4 and 3 more.")


def test_where_no_set_is_made_that_is_said(api: ApiClient) -> None:
    detail = api.get(url_of("c1") + "?set=churn_model:1").json()["errors"][0]["detail"]
    assert detail == "There is no feature set churn_model:1. None is made yet."


# --- Reading ------------------------------------------------------------------------------------------------------


def one(api: ApiClient, asked: dict[str, str]) -> HttpResponse:
    return api.get(url_of("c1"), asked)


def batch(api: ApiClient, asked: dict[str, str]) -> HttpResponse:
    return api.post("/api/v1/features/batch/", {"customer_ids": ["c1"], **asked})


def as_of(api: ApiClient, asked: dict[str, str]) -> HttpResponse:
    return api.post("/api/v1/features/as-of/", {"entities": [AT], **asked})


each_way = pytest.mark.parametrize("read", [one, batch, as_of])


@each_way
def test_a_set_beside_names_or_versions_is_refused(api: ApiClient, read: Any) -> None:
    made = make()
    for beside in ({"names": "cart_value" if read is one else ["cart_value"]}, {"version": "1.0"}):
        answer = read(api, {"set": made, **beside})
        assert error_of(answer) == (400, "set")
        assert answer.json()["errors"][0]["detail"] == (
            "A feature set has names and versions of its own: give either a set, or names and versions."
        )


@pytest.mark.parametrize("read", [batch, as_of])
def test_neither_a_set_nor_names_is_refused(api: ApiClient, read: Any) -> None:
    answer = read(api, {})
    assert error_of(answer) == (400, "names")
    assert answer.json()["errors"][0]["code"] == "required"


@each_way
def test_reads_by_a_set_are_noted_with_the_versions(db: None, read: Any) -> None:
    make_customer("c1", login=1)
    made = make()
    assert read(make_client("read"), {"set": made}).status_code == 200
    assert [(str(use.feature_set), use.api_key.name) for use in FeatureSetUse.objects.all()] == [(made, "test")]
    assert sorted(str(use.version) for use in VersionUse.objects.all()) == ["behavioral:1.0", "contextual:1.0"]


def test_an_answer_names_the_set_and_its_versions_and_has_the_values_in_its_order(api: ApiClient) -> None:
    make_customer("c1", login=3)
    api.patch(url_of("c1"), {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 5.5}})
    make()
    by_set = one(api, {"set": "churn_model:1"}).json()
    by_names = one(api, {"names": ",".join(NAMES), "version": "behavioral:1.0"}).json()
    assert list(by_set) == [
        "customer_id", "set", "versions", "features", "missing", "computed_at", "age_seconds", "source",
    ]  # fmt: skip
    assert (by_set["set"], by_set["source"]) == ("churn_model:1", "cache")
    assert list(by_set["features"]) == NAMES
    assert {key: by_set[key] for key in ("versions", "features", "missing")} == {
        key: by_names[key] for key in ("versions", "features", "missing")
    }
    (of_batch,) = batch(api, {"set": "churn_model:1"}).json()["results"]
    assert (of_batch["set"], of_batch["features"]) == ("churn_model:1", by_set["features"])
    at_a_moment = as_of(api, {"set": "churn_model:1"}).json()
    assert (at_a_moment["set"], at_a_moment["versions"]) == (
        "churn_model:1",
        {"behavioral": "1.0", "contextual": "1.0"},
    )
    assert at_a_moment["results"][0]["features"]["cart_value"] == 5.5


def test_an_incomplete_answer_names_the_set_too(api: ApiClient) -> None:
    make()
    values = one(api, {"set": "churn_model:1"}).json()
    assert (values["set"], set(values["missing"].values())) == ("churn_model:1", {"no_value"})


def test_a_set_keeps_its_versions_when_others_go_live(api: ApiClient) -> None:
    make_customer("c1", login=3)
    make()
    make_version("behavioral", state="live")
    make_customer("c2", login=3)
    assert one(api, {}).json()["versions"]["behavioral"] == "2.0"
    assert one(api, {"set": "churn_model:1"}).json()["versions"] == {"behavioral": "1.0", "contextual": "1.0"}
    of_new = make()
    assert one(api, {"set": of_new}).json()["versions"]["behavioral"] == "2.0"
