"""Query parameters that an endpoint does not know are refused by name, not ignored."""

from typing import Any

import pytest

from featurehub.http.schema import schema
from tests.api_client import ApiClient, error_of
from tests.factories import make_event, url_of
from tests.featurehub.http.test_errors import ENDPOINTS, as_bytes

each_endpoint = pytest.mark.parametrize(
    ("method", "path", "body"),
    [(method, path, body) for method, path, _, body in ENDPOINTS],
    ids=[f"{method} {path}" for method, path, _, _ in ENDPOINTS],
)


def test_name_for_names_is_refused_and_answered_with_what_there_is(api: ApiClient) -> None:
    response = api.get(url_of("c1") + "?name=engagement_score")
    assert error_of(response) == (400, "name")
    (error,) = response.json()["errors"]
    assert error["code"] == "unknown_parameter"
    assert error["detail"] == "There is no query parameter 'name' here; there are names, version and set."


@each_endpoint
def test_every_endpoint_refuses_an_unknown_parameter(api: ApiClient, method: str, path: str, body: Any) -> None:
    sent = as_bytes(body) if body is not None else b""
    response = api.generic(method, f"{path}?sort=x", data=sent, content_type="application/json")
    assert error_of(response) == (400, "sort")


def test_an_endpoint_without_parameters_says_so(api: ApiClient) -> None:
    response = api.post("/api/v1/events/?source=shop", {"events": [make_event()]})
    assert response.json()["errors"][0]["detail"] == "There is no query parameter 'source' here; there are none."


def test_a_parameter_given_twice_is_refused_instead_of_read_once(api: ApiClient) -> None:
    response = api.get(url_of("c1") + "?names=cart_value&names=tenure_days")
    assert error_of(response) == (400, "names")
    assert response.json()["errors"][0]["detail"] == "The query parameter 'names' is given more than once."


def test_versions_of_several_types_are_given_one_by_one(api: ApiClient) -> None:
    assert api.get(url_of("c1") + "?version=behavioral:1.0&version=contextual:1.0").status_code == 200


def test_a_request_without_a_key_learns_nothing_of_parameters(db: None) -> None:
    assert ApiClient().get(url_of("c1") + "?name=x").status_code == 401


def test_the_schema_and_the_endpoints_know_the_same_parameters(api: ApiClient) -> None:
    for path, operations in schema()["paths"].items():
        for method, operation in operations.items():
            declared = {part["name"] for part in operation.get("parameters", []) if part["in"] == "query"}
            address = path.format(customer_id="c1", name="engagement_score", feature_set="churn_model:1")
            refused = api.generic(method.upper(), f"{address}?sort=x", content_type="application/json").json()
            named = refused["errors"][0]["detail"].partition("there are ")[2].rstrip(".")
            assert {part for part in named.replace(" and ", ", ").split(", ") if part != "none"} == declared, path
