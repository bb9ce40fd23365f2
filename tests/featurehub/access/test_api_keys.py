"""API keys: kept as hashes, checked in memory, limited by scopes, revocable."""

import hashlib
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.http import HttpResponse
from pytest_django import DjangoAssertNumQueries

from featurehub.access import authentication
from featurehub.access.authentication import CHALLENGE, clients
from featurehub.access.models import ApiKey, create_api_key, revoke_api_keys
from featurehub.lib.snapshot import LOOK_AGAIN_SECONDS
from tests.api_client import ApiClient
from tests.factories import make_client, make_customer, make_event, post_events, url_of

pytestmark = pytest.mark.django_db


def read(client: ApiClient) -> HttpResponse:
    return client.get(url_of("c1"), {"names": "engagement_score"})


def error_of(response: HttpResponse) -> dict[str, Any]:
    [error] = response.json()["errors"]
    return error


def test_no_column_holds_the_key_itself() -> None:
    made, key = create_api_key("shop", scopes=["read"])
    with connection.cursor() as cursor:
        cursor.execute("select to_jsonb(access_apikey)::text from access_apikey where id = %s", [made.pk])
        assert key not in cursor.fetchone()[0]
    assert bytes(made.hashed_key) == hashlib.sha256(key.encode()).digest()
    assert key.startswith(made.prefix)
    assert len(made.prefix) < 12


def test_a_key_that_was_made_a_moment_ago_elsewhere_is_accepted() -> None:
    assert read(ApiClient(key="fh_makes_the_copy_in_memory")).status_code == 401
    _, key = create_api_key("shop", scopes=["read"])
    time.sleep(2 * LOOK_AGAIN_SECONDS)
    assert read(ApiClient(key=key)).status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Api-Key", "Api-Key ", "Api-Key fh_wrong", "Bearer fh_wrong", "Basic YTpi", "Api-Key ü", "api-key x"]
)
def test_without_a_valid_key_the_answer_is_401(header: str) -> None:
    client = ApiClient()
    client.defaults["HTTP_AUTHORIZATION"] = header
    response = read(client)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == CHALLENGE
    assert response.json()["type"] == "client_error"


def test_a_revoked_key_is_refused_as_soon_as_the_copy_in_memory_is_renewed() -> None:
    made, key = create_api_key("shop", scopes=["read"])
    client = ApiClient(key=key)
    assert read(client).status_code == 200
    assert revoke_api_keys([made.pk]) == 1
    clients.forget()  # as other processes do after SNAPSHOT_SECONDS
    response = read(client)
    assert response.status_code == 401
    assert "revoked" in error_of(response)["detail"]


def test_revoking_again_changes_nothing() -> None:
    made, _ = create_api_key("shop", scopes=["read"])
    assert revoke_api_keys([made.pk]) == 1
    made.refresh_from_db()
    revoked_at = made.revoked_at
    assert revoke_api_keys([made.pk]) == 0
    made.refresh_from_db()
    assert made.revoked_at == revoked_at


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("read", "post", "/api/v1/events/"),
        ("read", "patch", url_of("c1")),
        ("read", "patch", "/api/v1/features/batch/"),
        ("read", "delete", url_of("c1", "")),
        ("ingest", "get", url_of("c1")),
        ("ingest", "get", url_of("c1", "vector/")),
        ("ingest", "get", url_of("c1", "explanation/")),
        ("ingest", "post", "/api/v1/features/batch/"),
        ("write", "get", url_of("c1", "features/engagement_score/history/")),
        ("write", "post", "/api/v1/features/compute/"),
    ],
)
def test_a_key_without_the_scope_is_refused_with_the_scopes_name(scope: str, method: str, path: str) -> None:
    response = getattr(make_client(scope), method)(path)
    assert response.status_code == 403
    assert "lacks the scope" in error_of(response)["detail"]


def test_a_refused_request_stores_nothing() -> None:
    event = make_event()
    assert post_events(make_client("read"), event).status_code == 403
    assert post_events(make_client("ingest"), event).json() == {"accepted": 1, "duplicates": 0}


def test_checking_a_key_makes_no_query_per_request(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    make_customer("c1", page_view=1)
    client = make_client("read")
    assert read(client).json()["source"] == "cache"
    with django_assert_num_queries(0):
        for _ in range(5):
            assert read(client).status_code == 200


def test_guessing_keys_does_not_become_queries(
    django_assert_max_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "LOOK_AGAIN_SECONDS", 3600.0)
    with django_assert_max_num_queries(1):
        for number in range(20):
            assert read(ApiClient(key=f"fh_guess{number}")).status_code == 401


def test_the_command_prints_a_key_with_the_scopes_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_api_key", "shop", "--scope", "read", "--scope", "ingest", "--scope", "read")
    key = capsys.readouterr().out.strip()
    assert ApiKey.objects.get(name="shop").scopes == ["ingest", "read"]
    assert read(ApiClient(key=key)).status_code == 200


def test_the_command_refuses_a_scope_that_does_not_exist() -> None:
    with pytest.raises(CommandError, match="invalid choice: 'admin'"):
        call_command("create_api_key", "shop", "--scope", "admin")
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("scopes", [[], ["root"]])
def test_the_database_refuses_a_key_without_known_scopes(scopes: list[str]) -> None:
    with pytest.raises(IntegrityError, match="api_key_scopes_are_known"), transaction.atomic():
        create_api_key("shop", scopes=scopes)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Api-Key", "api-key"])
def test_a_key_is_sent_as_bearer_or_as_api_key(scheme: str) -> None:
    _, key = create_api_key("shop", scopes=["read"])
    clients.forget()
    client = ApiClient()
    client.defaults["HTTP_AUTHORIZATION"] = f"{scheme} {key}"
    assert read(client).status_code == 200
