"""API keys in the admin: shown once, only their limit can be edited, never deleted, revoked after a confirmation."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from featurehub.access.models import ApiKey, create_api_key, revoke_api_keys
from tests.api_client import ApiClient
from tests.factories import url_of
from tests.staff import log_in

pytestmark = pytest.mark.django_db
LIST = "/admin/access/apikey/"


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def make_key(name: str = "shop") -> tuple[ApiKey, str]:
    return create_api_key(name, scopes=["read"])


def status_with(key: str) -> int:
    return ApiClient(key=key).get(url_of("c1")).status_code


def test_a_new_key_is_shown_once_and_works(operator: Client) -> None:
    page = operator.post(f"{LIST}add/", {"name": "shop", "scopes": ["read", "ingest"]}, follow=True)
    assert page.redirect_chain == [(LIST, 302)]
    [key] = re.findall(r'<code class="hub-secret">(.*?)</code>', page.content.decode())
    assert status_with(key) == 200
    assert ApiKey.objects.get().scopes == ["read", "ingest"]
    assert key not in operator.get(LIST).content.decode()


def test_the_keys_name_can_not_bring_markup_into_the_message(operator: Client) -> None:
    page = operator.post(f"{LIST}add/", {"name": "<b>shop</b>", "scopes": ["read"]}, follow=True)
    assert "<b>shop</b>" not in page.content.decode()
    assert "&lt;b&gt;shop&lt;/b&gt;" in page.content.decode()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"name": "shop"}, "This field is required."),
        ({"name": "", "scopes": ["read"]}, "This field is required."),
        ({"name": "shop", "scopes": ["root"]}, "root is not one of the available choices"),
        ({"name": "shop", "scopes": ["read"], "requests_per_minute": "0"}, "greater than or equal to 1"),
        ({"name": "shop", "scopes": ["read"], "requests_per_minute": "many"}, "Enter a whole number."),
    ],
)
def test_a_form_that_is_wrong_makes_no_key_and_says_what_is_wrong(
    operator: Client, data: dict[str, object], error: str
) -> None:
    page = operator.post(f"{LIST}add/", data)
    assert page.status_code == 200
    assert error in page.content.decode()
    assert not ApiKey.objects.exists()


def test_no_page_shows_the_hash(operator: Client) -> None:
    made, _ = make_key()
    hashed = bytes(made.hashed_key)
    for page in (LIST, f"{LIST}{made.pk}/change/", f"{LIST}{made.pk}/revoke/", f"{LIST}{made.pk}/history/"):
        text = operator.get(page).content
        assert made.prefix.encode() in text
        assert hashed.hex().encode() not in text
        assert repr(hashed).encode() not in text


def test_a_key_is_not_deleted_and_keeps_its_name_and_scopes(operator: Client) -> None:
    made, _ = make_key()
    root = log_in(is_superuser=True)
    for client in (operator, root):
        assert b'name="scopes"' not in client.get(f"{LIST}{made.pk}/change/").content
        client.post(f"{LIST}{made.pk}/change/", {"name": "x", "scopes": ["write"]})
        assert client.post(f"{LIST}{made.pk}/delete/", {"post": "yes"}).status_code == 403
    made.refresh_from_db()
    assert (made.name, made.scopes) == ("shop", ["read"])


def test_a_key_is_made_with_a_limit(operator: Client) -> None:
    operator.post(f"{LIST}add/", {"name": "shop", "scopes": ["read"], "requests_per_minute": "60"})
    assert ApiKey.objects.get().requests_per_minute == 60


def test_a_limit_is_given_and_taken_away_at_once(operator: Client, django_capture_on_commit_callbacks: Any) -> None:
    made, key = make_key()
    page = f"{LIST}{made.pk}/change/"
    assert operator.post(page, {"requests_per_minute": "1"}).status_code == 302
    assert [status_with(key), status_with(key)] == [200, 429]
    assert "Requests per minute" in operator.get(f"{LIST}{made.pk}/history/").content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        assert operator.post(page, {"requests_per_minute": ""}).status_code == 302
    assert status_with(key) == 200


def test_a_key_that_was_revoked_gets_no_limit(operator: Client) -> None:
    made, _ = make_key()
    revoke_api_keys([made.pk])
    assert operator.post(f"{LIST}{made.pk}/change/", {"requests_per_minute": "1"}).status_code == 403
    assert b'name="requests_per_minute"' not in operator.get(f"{LIST}{made.pk}/change/").content


def test_the_button_asks_before_it_revokes(operator: Client) -> None:
    made, key = make_key()
    page = operator.get(f"{LIST}{made.pk}/change/").content.decode()
    assert reverse("admin:access_apikey_revoke", args=[made.pk]) in page
    confirmation = operator.get(f"{LIST}{made.pk}/revoke/")
    assert "This can't be taken back" in confirmation.content.decode()
    assert status_with(key) == 200
    answer = operator.post(f"{LIST}{made.pk}/revoke/", {"confirmed": "yes"}, follow=True)
    assert "Revoked: shop" in answer.content.decode()
    assert status_with(key) == 401


def test_a_revoked_key_stays_in_the_list_without_the_button(operator: Client) -> None:
    made, _ = make_key()
    operator.post(f"{LIST}{made.pk}/revoke/", {"confirmed": "yes"})
    assert made.prefix in operator.get(f"{LIST}?state=revoked").content.decode()
    assert made.prefix not in operator.get(f"{LIST}?state=valid").content.decode()
    assert "/revoke/" not in operator.get(f"{LIST}{made.pk}/change/").content.decode()


def test_the_action_asks_before_it_revokes_several(operator: Client) -> None:
    (first, _), (second, _), (_, key) = make_key("a"), make_key("b"), make_key("c")
    data = {"action": "revoke_selected", "_selected_action": [first.pk, second.pk]}
    confirmation = operator.post(LIST, data).content.decode()
    assert "these keys" in confirmation
    assert not ApiKey.objects.filter(revoked_at__isnull=False).exists()
    operator.post(LIST, {**data, "confirmed": "yes"})
    assert set(ApiKey.objects.filter(revoked_at__isnull=False)) == {first, second}
    assert status_with(key) == 200


def test_revoking_is_in_the_keys_log(operator: Client) -> None:
    made, _ = make_key()
    operator.post(f"{LIST}{made.pk}/revoke/", {"confirmed": "yes"})
    assert "Revoked." in operator.get(f"{LIST}{made.pk}/history/").content.decode()


@pytest.mark.parametrize("role", ["viewer", "marketer"])
def test_other_roles_do_not_make_or_revoke_keys(role: str) -> None:
    made, key = make_key()
    client = log_in(role)
    assert client.get(LIST).status_code == 200
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{made.pk}/revoke/", {"confirmed": "yes"}).status_code == 403
    assert client.post(f"{LIST}{made.pk}/change/", {"requests_per_minute": "1"}).status_code == 403
    client.post(LIST, {"action": "revoke_selected", "_selected_action": [made.pk], "confirmed": "yes"})
    assert status_with(key) == 200


@pytest.mark.parametrize("object_id", ["0", "none", "9" * 40, "1/2"])
def test_a_key_that_does_not_exist_is_404(operator: Client, object_id: str) -> None:
    assert operator.get(f"{LIST}{object_id}/revoke/").status_code == 404
