"""Errors tell a client what to send instead: allowed values, the wrong key, no word of Python."""

from typing import Any

import pytest

from tests.api_client import ApiClient
from tests.factories import make_event, url_of

PATCH: dict[str, Any] = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 1.0}}
BATCH: dict[str, Any] = {"customer_ids": ["c1"], "names": ["cart_value"]}
COMPUTE: dict[str, Any] = {"events": []}
EVENT = "/api/v1/events/"
NOT_REGISTERED = (
    "No event type '{name}' is registered. There are page_view, email_open, email_click, form_submit, purchase, login. "
    "Register it in the admin under Event types, or with manage.py apply_definitions."
)
FEATURES = url_of("c1")


def refusal(response: Any, *, status: int = 400) -> dict[str, Any]:
    """Return the one error of the answer."""
    assert response.status_code == status, response.content
    (error,) = response.json()["errors"]
    return dict(error)


def test_a_wrong_event_type_is_answered_with_all_that_there_are(api: ApiClient) -> None:
    error = refusal(api.post(EVENT, {"events": [make_event(), make_event(event_type="refund")]}))
    assert error["attr"] == "events.1.event_type"
    assert error["detail"] == NOT_REGISTERED.format(name="refund")
    error = refusal(api.post(EVENT, {"events": [make_event(event_type=7)]}))
    assert error["detail"] == "It must be a string, not a whole number."


def test_a_long_wrong_value_is_not_sent_back_whole(api: ApiClient) -> None:
    error = refusal(api.post(EVENT, {"events": [make_event(event_type="x" * 10_000)]}))
    assert len(error["detail"]) < 300
    assert "login" in error["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "attr", "detail"),
    [
        ("post", EVENT, {"events": []}, "events", "It must be an array of at least 1 member."),
        ("post", EVENT, {"events": {}}, "events", "It must be an array, not an object."),
        ("post", EVENT, [], None, "It must be an object, not an array."),
        ("post", EVENT, {"events": [make_event(customer_id=7)]}, "events.0.customer_id",
         "It must be a string, not a whole number."),
        ("post", EVENT, {"events": [make_event(event_id=7.5)]}, "events.0.event_id",
         "It must be a string or null, not a number."),
        ("post", EVENT, {"events": [make_event(event_id="x" * 65)]}, "events.0.event_id",
         "It must be a string of at most 64 characters."),
        ("post", EVENT, {"events": [make_event(timestamp="yesterday")]}, "events.0.timestamp",
         "It must be a moment in ISO 8601 with an offset, such as 2026-01-31T12:00:00Z."),
        ("post", EVENT, {"events": [make_event(timestamp="2026-01-01T00:00:00")]}, "events.0.timestamp",
         "It must be a moment in ISO 8601 with an offset, such as 2026-01-31T12:00:00Z."),
        ("post", EVENT, {"events": [make_event(metadata=[1])]}, "events.0.metadata",
         "It must be an object, not an array."),
        ("patch", FEATURES, {**PATCH, "features": {"items_in_cart": 1, "cart_value": "99"}}, "features.cart_value",
         "It must be a number, not a string."),
        ("patch", FEATURES, {**PATCH, "features": {}}, "features", "It must be an object of at least 1 member."),
        ("post", "/api/v1/features/batch/", {**BATCH, "names": ["a", 1]}, "names.1",
         "It must be a string, not a whole number."),
        ("post", "/api/v1/features/batch/", {**BATCH, "version": 1}, "version",
         "It must be a string or an array, not a whole number."),
        ("post", "/api/v1/features/compute/", {**COMPUTE, "weights": {"login": {"weight": -1}}},
         "weights.login.weight", "It must be a number of at least 0."),
        ("post", "/api/v1/features/compute/", {**COMPUTE, "weights": {"login": {"norm": 0}}},
         "weights.login.norm", "It must be a number greater than 0."),
        ("post", "/api/v1/features/compute/", {**COMPUTE, "weights": {"login": {}, "refund": {}}}, "weights",
         NOT_REGISTERED.format(name="refund")),
        ("post", "/api/v1/features/compute/", {**COMPUTE, "weights": {"login": {}, "purchase": {"wight": 1}}},
         "weights.purchase.wight", "There is no such field: correct its name or leave it out."),
    ],
)  # fmt: skip
def test_a_value_of_another_shape_is_refused_in_the_words_of_json(
    api: ApiClient, method: str, path: str, body: Any, attr: str | None, detail: str
) -> None:
    error = refusal(getattr(api, method)(path, body))
    assert (error["attr"], error["detail"]) == (attr, detail)


def test_a_number_that_no_double_holds_is_named(api: ApiClient) -> None:
    body = b'{"feature_type": "contextual", "version": "1.0", "features": {"items_in_cart": 1, "cart_value": 1e400}}'
    error = refusal(api.patch(FEATURES, body))
    assert error["detail"] == "The number is too large."
    assert error["attr"].startswith("features")


def test_a_type_that_clients_do_not_write_is_answered_with_those_they_do(api: ApiClient) -> None:
    computed = refusal(api.patch(FEATURES, {**PATCH, "feature_type": "behavioral"}))
    assert computed["detail"] == "behavioral values are computed; clients write customer and contextual."
    unknown = refusal(api.patch(FEATURES, {**PATCH, "feature_type": "basket"}))
    assert unknown["detail"] == "There is no feature type 'basket'; clients write customer and contextual."


def test_a_name_that_a_version_lacks_is_answered_with_those_it_has(api: ApiClient) -> None:
    error = refusal(api.patch(FEATURES, {**PATCH, "features": {"cart_valu": 1}}))
    assert error["attr"] == "features.cart_valu"
    assert "cart_value" in error["detail"]
    assert "items_in_cart" in error["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", f"{FEATURES}?version=9.9", None),
        ("get", url_of("c1", "features/engagement_score/history/") + "?version=9.9", None),
        ("patch", FEATURES, {**PATCH, "version": "9.9"}),
        ("post", "/api/v1/features/batch/", {**BATCH, "version": "contextual:9.9"}),
    ],
)
def test_an_unknown_version_is_answered_with_those_there_are(api: ApiClient, method: str, path: str, body: Any) -> None:
    error = refusal(getattr(api, method)(path, body) if body else api.get(path), status=404)
    assert "9.9" in error["detail"]
    assert ":1.0" in error["detail"]


@pytest.mark.parametrize(
    "path", ["/api/v1/events", "/api/v1/customers/c1/features", "/api/v1/features/batch", "/api/schema", "/api/docs"]
)
def test_an_address_without_its_slash_is_answered_with_the_right_one(api: ApiClient, path: str) -> None:
    error = refusal(api.get(path), status=404)
    assert error["detail"] == f"There is no {path}; {path}/ ends in a slash."


def test_another_address_is_not_answered_with_a_slash(api: ApiClient) -> None:
    assert refusal(api.get("/api/v1/nothing"), status=404)["detail"] == "There is no /api/v1/nothing."


def test_a_name_given_twice_in_a_patch_is_refused(api: ApiClient) -> None:
    body = b'{"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 1, "cart_value": 2}}'
    error = refusal(api.patch(FEATURES, body))
    assert (error["code"], error["attr"]) == ("duplicate_key", "cart_value")
    assert error["detail"] == "This key is given twice in one object."


@pytest.mark.parametrize("declared", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "text/json"])
def test_a_body_declared_as_something_else_is_refused(api: ApiClient, declared: str) -> None:
    response = api.post(EVENT, {"events": [make_event()]}, content_type=declared)
    error = refusal(response, status=415)
    assert "application/json" in error["detail"]
    assert response.json()["type"] == "client_error"


@pytest.mark.parametrize(
    "declared", ["application/json", "application/JSON; charset=utf-8", "application/x-www-form-urlencoded", ""]
)
def test_json_is_taken_as_json_as_curl_declares_it_and_undeclared(api: ApiClient, declared: str) -> None:
    assert api.post(EVENT, {"events": [make_event()]}, content_type=declared).status_code == 201


def test_a_whole_number_of_thousands_of_digits_is_no_error_of_ours(api: ApiClient) -> None:
    digits = b"9" * 5_000
    body = b'{"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 1}, "metadata": {"x": %b}}'
    assert api.patch(FEATURES, body % digits).status_code == 400
