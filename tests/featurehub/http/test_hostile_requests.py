"""Requests that are wrong below the level of JSON: no 500, and nothing kept of what came without a key."""

import encodings
import io
import json
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import RequestFactory

from featurehub.http.handler import Handler
from featurehub.http.view import cached_query
from features.online.hmget import around_the_key
from features.serving.read_plan import cached_plan
from tests.api_client import ApiClient, error_of
from tests.factories import make_client, make_customer, url_of

pytestmark = pytest.mark.django_db
PATH = url_of("c1")
BATCH = "/api/v1/features/batch/"
QUERIES = {
    "no value": "names", "only separators": "&&&==&=", "many parameters": "&".join(["a=1"] * 5_000),
    "many versions": "&".join(["version=1.0"] * 900), "many other versions": "&".join(["version=9.9"] * 900),
    "repeated names": "names=a&names=b&names=tenure_days", "nul": "names=%00", "raw nul": "names=\x00",
    "half an escape": "names=%", "no escape": "names=%zz&version=%u0041", "not utf-8": "names=%ff%fe",
    "raw bytes": "names=\xff\xfe", "raw utf-8": "names=\xe5\xae\xa2", "surrogate": "names=%ed%a0%80",
    "long": "names=" + "x" * 100_000, "long parameter": "y" * 100_000, "501 names": "names=" + ",".join(["n"] * 501),
    "10,000 names": "names=" + ",".join(f"n{number}" for number in range(10_000)), "format": "format=html",
    "a moment": "since=%00", "a limit": "limit=9999999999999999999999", "a cursor": "cursor=%00%ff",
    "semicolons": "a;b;c",
}  # fmt: skip
HEADERS: dict[str, dict[str, str]] = {
    "long key": {"HTTP_AUTHORIZATION": "Api-Key " + "x" * 1_000_000},
    "key of any bytes": {"HTTP_AUTHORIZATION": "Api-Key \xff\xfe"},
    "unknown host": {"HTTP_HOST": "evil.example"},
    "no host": {"HTTP_HOST": "[::1"},
    "long cookie": {"HTTP_COOKIE": "a=" + "x" * 1_000_000},
    "unknown charset": {"CONTENT_TYPE": "application/json; charset=klingon"},
    "charset of any bytes": {"CONTENT_TYPE": "application/json; charset=\xff\x00"},
    "parameter in an unknown charset": {"CONTENT_TYPE": "application/json; name*=klingon''x"},
    "long content type": {"CONTENT_TYPE": "application/json" + "; a=b" * 10_000},
    "upload without a boundary": {"CONTENT_TYPE": "multipart/form-data"},
    "no length": {"CONTENT_LENGTH": ""},  # of other words for a length the server makes a 400
    "a negative length": {"CONTENT_LENGTH": "-1"},
    "a length beyond the body": {"CONTENT_LENGTH": "1000"},
    "a length within the body": {"CONTENT_LENGTH": "5"},
    "an unknown encoding": {"HTTP_TRANSFER_ENCODING": "gzip"},
    "a language": {"HTTP_ACCEPT_LANGUAGE": "x" * 100_000},
    "what it accepts": {"HTTP_ACCEPT": "text/html;q=x, */*" * 1_000},
    "another method": {"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE"},
}
PATHS = [
    "/api/v1/", "/api/v1/%", "/api/v1/\xff", "/api/v1/customers/\x00/features/", "/api/v1/customers/" + "x" * 100_000,
    "/api/v1/customers/" + "x" * 100_000 + "/features/", "/api/v1//customers/c1/features/", "/api/v1/../../etc/passwd",
    "/api/v1/customers/\xed\xa0\x80/features/", "/api/v1/customers/c1/features/" + "y" * 100_000 + "/history/",
]  # fmt: skip
PAGES = ["/api/schema/", "/api/docs/", "/healthz", "/nowhere", "/admin/login/"]
METHODS = ["get", "PUT", "TRACE", "CONNECT", "PROPFIND", "__init__", "dispatch", "x" * 10_000, "GET\xff"]


@pytest.fixture(params=["with a key", "without a key"])
def client(request: pytest.FixtureRequest) -> ApiClient:
    make_customer("c1", page_view=1)
    return make_client("read", "ingest", "write") if request.param == "with a key" else ApiClient()


def ask(client: ApiClient, path: str, *, method: str = "GET", query: str = "", **more: Any) -> tuple[int, bytes]:
    """Return the status and body of the answer to a WSGI environment as a server makes it; `more` goes into that."""
    started: list[str] = []
    body = more.pop("body", b"")
    environ = {
        **RequestFactory()._base_environ(), **client.defaults, "REQUEST_METHOD": method, "PATH_INFO": path,
        "QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body), **more,
    }  # fmt: skip
    # The end of a request would close the connection in whose transaction the test runs.
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        answer = b"".join(Handler()(environ, lambda status, headers: started.append(status)))
    finally:
        for signal in signals:
            signal.connect(close_old_connections)
    return int(started[0].split()[0]), answer


def is_refused_well(status: int, answer: bytes) -> bool:
    """Return whether the answer is no error of the server, and JSON."""
    json.loads(answer)
    return status < 500


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("part", ["features/", "vector/", "explanation/", "features/page_views_30d/history/"])
def test_no_query_string_is_an_error_of_the_server(client: ApiClient, part: str, query: str) -> None:
    assert is_refused_well(*ask(client, url_of("c1", part), query=query))


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("path", PAGES)
def test_no_query_string_is_an_error_of_a_page(client: ApiClient, path: str, query: str) -> None:
    assert ask(client, path, query=query)[0] < 500


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_no_header_is_an_error_of_the_server(client: ApiClient, headers: dict[str, str]) -> None:
    body = json.dumps({"customer_ids": ["c1"], "names": ["tenure_days"]}).encode()
    assert is_refused_well(*ask(client, PATH, **headers))
    assert is_refused_well(*ask(client, url_of("c1", "features/page_views_30d/history/"), **headers))
    assert is_refused_well(*ask(client, BATCH, method="POST", body=body, **headers))
    assert is_refused_well(*ask(client, "/api/v1/nowhere/", **headers))


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("path", PAGES)
def test_no_header_is_an_error_of_a_page(client: ApiClient, path: str, headers: dict[str, str]) -> None:
    assert ask(client, path, **headers)[0] < 500
    assert ask(client, path, method="POST", body=b"username=a&password=b", **headers)[0] < 500


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_no_path_is_an_error_of_the_server(client: ApiClient, path: str) -> None:
    assert is_refused_well(*ask(client, path))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method[:10])
@pytest.mark.parametrize("path", [PATH, BATCH, "/api/v1/nowhere/"])
def test_no_method_is_an_error_of_the_server(client: ApiClient, path: str, method: str) -> None:
    assert is_refused_well(*ask(client, path, method=method))


@pytest.mark.parametrize(("names", "status"), [(500, 200), (501, 400)])
def test_a_read_names_at_most_as_many_features_as_a_batch(api: ApiClient, names: int, status: int) -> None:
    response = api.get(PATH, {"names": ",".join(f"n{number}" for number in range(names))})
    assert response.status_code == status
    if status == 400:
        assert error_of(response) == (400, "names")
        assert "500" in response.json()["errors"][0]["detail"]


def cached() -> tuple[int, ...]:
    return tuple(cache.cache_info().currsize for cache in (cached_query, cached_plan, around_the_key))


def test_nothing_of_a_request_without_a_key_is_kept(db: None) -> None:
    before, charsets = cached(), len(encodings._cache)  # type: ignore[attr-defined]
    for number in range(20):
        names = ",".join(f"n{number}_{other}" for other in range(100))
        content_type = f"application/json; charset=klingon-{number}; name*=vulcan-{number}''x"
        for key in (None, "fh_guessed"):
            status, _ = ask(ApiClient(key=key), PATH, query=f"names={names}", CONTENT_TYPE=content_type)
            assert status == 401
    assert (cached(), len(encodings._cache)) == (before, charsets)  # type: ignore[attr-defined]


def test_long_names_are_answered_and_not_kept(api: ApiClient) -> None:
    make_customer("c1", page_view=1)
    api.get(PATH, {"names": "page_views_30d"})
    before = cached()
    for number in range(20):
        long = [f"{number}_{other}_" + "x" * 100 for other in range(100)]
        values = api.get(PATH, {"names": ",".join([*long, "page_views_30d"])}).json()
        assert values["features"]["page_views_30d"] == 1
        assert values["missing"] == dict.fromkeys(long, "unknown")
        batch = api.post(BATCH, {"customer_ids": ["c1"], "names": ["x" * 10_000, "page_views_30d"]}).json()
        assert batch["results"][0]["features"]["page_views_30d"] == 1
    assert cached() == before


def test_a_query_of_many_parameters_is_not_kept(api: ApiClient) -> None:
    before = cached_query.cache_info().currsize
    for number in range(20):
        api.get(PATH, {f"p{number}_{other}": "1" for other in range(500)})
    assert cached_query.cache_info().currsize == before
