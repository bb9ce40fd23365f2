"""Errors, the same on every endpoint: authentication, refusals, and the one form of error."""

from collections.abc import Iterator
from typing import Any

import orjson
import psycopg
import pytest
import pytest_django
from django.db import connections
from django.utils import timezone

from events.models import Event
from featurehub.access.authentication import CHALLENGE, clients
from featurehub.access.models import ApiKey, Scope, create_api_key
from features.models import CustomerFeature
from tests.api_client import ApiClient, error_of
from tests.at_once import environment_of_tests
from tests.away import END_OTHER_SESSIONS, postgres_away, redis_away
from tests.factories import make_client, make_customer, make_event, post_events, url_of

PATCH = {"feature_type": "customer", "version": "1.0", "features": {"tenure_days": 1}}
PATCH_ROWS = {
    "feature_type": "customer",
    "version": "1.0",
    "rows": [{"customer_id": "c2", "features": {"tenure_days": 1}}],
}
AS_OF = {"entities": [{"customer_id": "c1", "timestamp": "2026-01-01T00:00:00Z"}], "names": ["tenure_days"]}
# Method, path, scope, and a valid body.
ENDPOINTS: list[tuple[str, str, str, Any]] = [
    ("POST", "/api/v1/events/", "ingest", lambda: {"events": [make_event()]}),
    ("GET", "/api/v1/customers/c1/features/", "read", None),
    ("PATCH", "/api/v1/customers/c1/features/", "write", lambda: PATCH),
    ("GET", "/api/v1/customers/c1/vector/", "read", None),
    ("GET", "/api/v1/customers/c1/explanation/", "read", None),
    ("GET", "/api/v1/customers/c1/features/engagement_score/history/", "read", None),
    ("DELETE", "/api/v1/customers/c1/", "write", None),
    ("POST", "/api/v1/features/batch/", "read", lambda: {"customer_ids": ["c1"], "names": ["tenure_days"]}),
    ("PATCH", "/api/v1/features/batch/", "write", lambda: PATCH_ROWS),
    ("POST", "/api/v1/features/as-of/", "read", lambda: AS_OF),
    ("POST", "/api/v1/features/compute/", "read", lambda: {"events": []}),
    ("GET", "/api/v1/definitions/", "read", None),
    ("GET", "/api/v1/weights/", "read", None),
    ("GET", "/api/v1/feature-sets/", "read", None),
    ("POST", "/api/v1/feature-sets/", "write", lambda: {"name": "basket", "names": ["cart_value"]}),
]
PATHS = sorted({path for _, path, _, _ in ENDPOINTS})
each_endpoint = pytest.mark.parametrize(
    ("method", "path", "scope", "body"), ENDPOINTS, ids=[f"{method} {path}" for method, path, _, _ in ENDPOINTS]
)


def ask(client: ApiClient, method: str, path: str, body: Any) -> Any:
    if method in ("GET", "DELETE", "HEAD", "OPTIONS"):
        return client.generic(method, path)
    return client.generic(method, path, data=b"" if body is None else as_bytes(body), content_type="application/json")


def as_bytes(body: Any) -> bytes:
    return orjson.dumps(body())


def stored() -> tuple[int, int]:
    return Event.objects.count(), CustomerFeature.objects.count()


@each_endpoint
def test_a_key_with_the_scope_is_served(db: None, method: str, path: str, scope: str, body: Any) -> None:
    assert ask(make_client(scope), method, path, body).status_code in (200, 201)


@each_endpoint
def test_a_key_with_every_other_scope_is_refused(db: None, method: str, path: str, scope: str, body: Any) -> None:
    others = make_client(*(set(Scope.values) - {scope}))
    response = ask(others, method, path, body)
    assert error_of(response) == (403, None)
    assert scope in response.json()["errors"][0]["detail"]
    assert stored() == (0, 0)


@each_endpoint
@pytest.mark.parametrize("key", [None, "", "fh_guessed", "ü\x00", "x" * 10_000])
def test_nobody_is_served_without_a_key_of_ours(
    db: None, method: str, path: str, scope: str, body: Any, key: str | None
) -> None:
    response = ask(ApiClient(key=key), method, path, body)
    assert error_of(response) == (401, None)
    assert response["WWW-Authenticate"] == CHALLENGE
    assert stored() == (0, 0)


@pytest.mark.parametrize(
    "header", ["Token {key}", "Bearer", "Api-Key", "Api-Key: {key}", "Bearer{key}", "{key}", "Basic e30="]
)
def test_a_key_in_another_form_is_no_key(db: None, header: str) -> None:
    _, key = create_api_key("test", scopes=["read"])
    client = ApiClient()
    assert client.get("/api/v1/definitions/", headers={"Authorization": header.format(key=key)}).status_code == 401
    assert client.get("/api/v1/definitions/", headers={"Authorization": f"Api-Key {key}"}).status_code == 200


def test_a_key_that_was_revoked_is_refused(db: None) -> None:
    client = make_client("read")
    assert client.get("/api/v1/definitions/").status_code == 200
    ApiKey.objects.update(revoked_at=timezone.now())
    clients.forget()
    assert error_of(client.get("/api/v1/definitions/")) == (401, None)


def test_a_key_made_just_now_is_known_at_once(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurehub.access.authentication.LOOK_AGAIN_SECONDS", 0.0)
    assert make_client("read").get("/api/v1/definitions/").status_code == 200
    assert make_client("read").get("/api/v1/definitions/").status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_a_method_that_a_path_has_not_is_refused(api: ApiClient, path: str, method: str) -> None:
    if method in {known for known, other, _, _ in ENDPOINTS if other == path}:
        return
    response = ask(api, method, path, None)
    assert error_of(response) == (405, None)
    assert response["Allow"]


@pytest.mark.parametrize("path", sorted(path for method, path, _, _ in ENDPOINTS if method == "GET"))
def test_head_asks_for_the_key_and_scope_of_get(db: None, path: str) -> None:
    assert ApiClient().head(path).status_code == 401
    assert make_client("ingest").head(path).status_code == 403
    assert make_client("read").head(path).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/", "/api/v1/events", "/api/v2/events/", "/api/v1/customers/a/b/features/"])
def test_a_path_that_leads_nowhere_says_so_in_the_same_form(api: ApiClient, path: str) -> None:
    assert error_of(api.get(path)) == (404, None)


def test_a_body_that_is_not_utf_8_is_refused_in_our_own_words(api: ApiClient) -> None:
    body = b'{"events": [{"customer_id": "\xff"}]}'
    response = api.generic("POST", "/api/v1/events/", data=body, content_type="application/json")
    assert error_of(response) == (400, None)
    assert response.json()["errors"][0]["detail"] == "The body is not JSON: it is not UTF-8"


@each_endpoint
@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"NaN", "not JSON"),
        (b"[" * 100_000, "object"),
        (b"null", "object"),
        (b"[]", "object"),
        (b'"text"', "object"),
    ],
    ids=lambda value: value[:10] if isinstance(value, bytes) else "",
)
def test_a_body_that_is_no_object_of_json_is_refused(
    api: ApiClient, method: str, path: str, scope: str, body: Any, sent: bytes, detail: str
) -> None:
    if body is None:
        return
    response = api.generic(method, path, data=sent, content_type="application/json")
    assert error_of(response) == (400, None)
    assert detail in response.json()["errors"][0]["detail"]


def test_metadata_that_are_nested_too_deeply_are_refused(api: ApiClient) -> None:
    sent = b'{"metadata": {"a": ' + b"[" * 100_000
    response = api.generic("PATCH", url_of("c1"), data=sent, content_type="application/json")
    assert error_of(response) == (400, None)
    assert "nested too deeply" in response.json()["errors"][0]["detail"]


@each_endpoint
@pytest.mark.parametrize("content_type", ["application/json; charset=latin-1", "application/x-www-form-urlencoded", ""])
def test_a_body_is_json_as_curl_declares_it_or_undeclared(
    api: ApiClient, method: str, path: str, scope: str, body: Any, content_type: str
) -> None:
    if body is not None:
        response = api.generic(method, path, data=as_bytes(body), content_type=content_type)
        assert response.status_code in (200, 201)


@each_endpoint
def test_a_body_beyond_the_limit_is_refused(
    api: ApiClient, settings: pytest_django.Settings, method: str, path: str, scope: str, body: Any
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = settings.EVENTS_MAX_MEMORY_SIZE = 10
    if body is not None:
        assert error_of(ask(api, method, path, body)) == (413, None)
        assert stored() == (0, 0)


def test_thousands_of_query_parameters_are_refused(api: ApiClient) -> None:
    assert error_of(api.get(f"{url_of('c1')}?{'version=1.0&' * 1_500}")) == (400, None)


@pytest.fixture
def without_postgres(committed: None) -> Iterator[ApiClient]:
    """Return a client whose key and registry are in memory already, with PostgreSQL away."""
    client = make_client(*Scope.values)
    client.raise_request_exception = False  # errors that are logged are answered, too
    make_customer("cached")
    assert client.get(url_of("cached")).status_code == 200
    with postgres_away():
        yield client


@each_endpoint
def test_without_postgresql_what_needs_it_is_unavailable_for_a_while(
    without_postgres: ApiClient, method: str, path: str, scope: str, body: Any
) -> None:
    response = ask(without_postgres, method, path, body)
    assert error_of(response) == (503, None)
    assert int(response["Retry-After"]) > 0


def test_without_postgresql_what_is_cached_is_served(without_postgres: ApiClient) -> None:
    for path in (url_of("cached"), url_of("cached", "vector/"), url_of("cached") + "?names=tenure_days,nonsense"):
        assert without_postgres.get(path).json()["source"] == "cache"
    batch = without_postgres.post("/api/v1/features/batch/", {"customer_ids": ["cached"], "names": ["tenure_days"]})
    assert batch.json()["results"][0]["source"] == "cache"


def test_after_postgresql_was_away_the_next_request_is_served(committed: None, api: ApiClient) -> None:
    """PostgreSQL's sessions are gone, so the connections in the pool are broken."""
    assert post_events(api, make_event()).status_code == 201
    connections.close_all()
    with psycopg.connect(environment_of_tests()["DATABASE_URL"], autocommit=True) as other:
        ended = other.execute(END_OTHER_SESSIONS).fetchall()
    assert ended
    assert post_events(api, make_event()).status_code == 201


def test_without_redis_everything_is_served(api: ApiClient) -> None:
    with redis_away():
        for method, path, _, body in ENDPOINTS:
            assert ask(api, method, path, body).status_code in (200, 201, 202), (method, path)


def test_an_error_shows_nothing_of_the_inside(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a bug causes an internal error, so the test makes one."""
    monkeypatch.setattr("events.api.views.ingest", lambda events: 1 / 0)
    api.raise_request_exception = False
    response = post_events(api, make_event())
    assert error_of(response) == (500, None)
    assert b"division" not in response.content
