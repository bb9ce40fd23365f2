"""Requests on the API's fast path give the same answers as through Django's handler."""

import io
import json
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import RequestFactory, override_settings

from featurehub.access.models import Scope
from featurehub.http.handler import Handler
from featurehub.http.requests import ApiRequest
from featurehub.observability.ids import REQUEST_ID_HEADER
from tests.api_client import ApiClient
from tests.factories import make_client, make_customer, url_of


def ask(handler: WSGIHandler, method: str, url: str, *, client: ApiClient, body: bytes = b"") -> tuple[Any, ...]:
    """Return status, headers without the id of the request, and body, as a WSGI server gets them."""
    path, _, query = url.partition("?")
    started: list[Any] = []
    environ = {
        **RequestFactory()._base_environ(),
        **client.defaults,
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    answer = handler(environ, lambda status, headers: started.extend((status, without_id(headers))))
    return (*started, b"".join(answer))


def without_id(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(header for header in headers if header[0] != REQUEST_ID_HEADER)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", url_of("c1", "vector/")),
        ("GET", url_of("c1") + "?names=page_views_30d,foo&version=behavioral:1.0"),
        ("GET", url_of("c1") + "?names=gr%C3%BC%C3%9Fe"),
        ("GET", url_of("gr\xc3\xbc\xc3\x9fe")),
        ("GET", url_of("nobody", "history/")),
        ("HEAD", url_of("c1")),
        ("get", url_of("c1")),
        ("GET", url_of("c1") + "?names="),
        ("PUT", url_of("c1")),
        ("POST", "/api/v1/features/batch/"),
        ("GET", "/api/v1/nowhere/"),
        ("GET", "/healthz"),
    ],
)
def test_the_handler_answers_as_djangos_own(db: None, method: str, url: str) -> None:
    make_customer("c1", page_view=3)
    client = make_client(Scope.READ, Scope.WRITE)
    client.get(url_of("c1", "vector/"))
    short, long = (without_age(ask(made, method, url, client=client)) for made in (Handler(), WSGIHandler()))
    assert short == long


def without_age(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    *head, body = answer
    return (*head, body.partition(b'"age_seconds"')[0])


def test_answers_of_the_api_have_the_security_headers(api: ApiClient) -> None:
    headers = api.get(url_of("c1"), secure=True).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    with override_settings(SECURE_HSTS_SECONDS=60):
        assert make_client().get(url_of("c1"), secure=True).headers["Strict-Transport-Security"] == "max-age=60"


def test_the_api_is_read_over_https_only_where_that_is_asked_for(api: ApiClient) -> None:
    with override_settings(SECURE_SSL_REDIRECT=True):
        assert api.get(url_of("c1")).headers["Location"] == f"https://testserver{url_of('c1')}"
        assert api.get(url_of("c1"), secure=True).status_code == 200


@pytest.mark.parametrize("header", [None, "https", "http", "https, http", " https ", "HTTPS", ""])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("trusted", [None, ("HTTP_X_FORWARDED_PROTO", "https")])
def test_a_request_is_as_secure_as_django_says(
    header: str | None, scheme: str, trusted: tuple[str, str] | None
) -> None:
    environ = {**RequestFactory()._base_environ(), "wsgi.url_scheme": scheme}
    if header is not None:
        environ["HTTP_X_FORWARDED_PROTO"] = header
    with override_settings(SECURE_PROXY_SSL_HEADER=trusted):
        request = ApiRequest(environ)
        assert request.is_secure() == request.django.is_secure()


@pytest.mark.usefixtures("committed")
def test_no_request_leaves_its_database_connection_open() -> None:
    client = make_client()
    status, _, _ = ask(Handler(), "GET", "/api/v1/weights/", client=client)
    assert (status, connection.connection) == ("200 OK", None)


def test_a_chunked_body_is_read(db: None) -> None:
    body = json.dumps({"customer_ids": ["c1"], "names": ["page_views_30d"]}).encode()
    status, _, answer = ask_chunked(body, path="/api/v1/features/batch/")
    assert (status, json.loads(answer)["results"][0]["customer_id"]) == ("200 OK", "c1")


def test_a_chunked_body_is_read_no_further_than_a_body_may_go(db: None) -> None:
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=1_000):
        status, _, _ = ask_chunked(b" " * 5_000, path="/api/v1/features/batch/")
    assert status.startswith("413")


@pytest.mark.parametrize(
    ("path", "most"),
    [("/api/v1/features/batch/", 1024**2), ("/api/v1/events/", 16 * 1024**2), ("/admin/login/", 1024**2)],
)
def test_a_body_declared_larger_than_its_endpoint_takes_is_refused_before_a_byte_is_read(
    committed: None, path: str, most: int
) -> None:
    for size, is_refused in ((most + 1, True), (most, False)):
        body = io.BytesIO(b" " * size)
        assert ask_declared(body, size=size, path=path).startswith("413") is is_refused
        assert (body.tell() == 0) is is_refused


def ask_declared(body: io.BytesIO, *, size: int | str, path: str) -> str:
    started: list[str] = []
    environ = {
        **RequestFactory()._base_environ(),
        **make_client(*Scope.values).defaults,
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(size),
        "HTTP_COOKIE": f"csrftoken={'x' * 32}",
        "wsgi.input": body,
    }
    Handler()(environ, lambda status, _: started.append(status))
    return started[0]


@pytest.mark.parametrize("length", ["-1", "-5", "", "x"])
def test_a_body_without_a_length_is_not_read(db: None, length: str) -> None:
    body = io.BytesIO(b'{"customer_ids": ["c1"], "names": ["page_views_30d"]}')
    status = ask_declared(body, size=length, path="/api/v1/features/batch/")
    assert (status[:3], body.tell()) == ("400", 0)


def ask_chunked(body: bytes, *, path: str) -> tuple[str, Any, bytes]:
    started: list[Any] = []
    environ = {
        **RequestFactory()._base_environ(),
        **make_client().defaults,
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": io.BytesIO(body),
    }
    answer = Handler()(environ, lambda status, headers: started.extend((status, headers)))
    return (*started, b"".join(answer))


def test_an_id_that_is_not_utf8_is_not_taken_for_its_escape(db: None) -> None:
    status, _, body = ask(Handler(), "GET", "/api/v1/customers/\xff/features/", client=make_client())
    assert status.startswith("400"), body
