"""Django's WSGI handler, with less work around requests to the API (decision 5)."""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware

from featurehub.http.endpoints import API, Endpoints
from featurehub.http.errors import error_response
from featurehub.http.peers import declared_length, tell_client
from featurehub.http.requests import ApiRequest, PlainRequest
from featurehub.http.responses import ApiResponse
from featurehub.observability.ids import begin_request

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class ThreadDatabase(threading.local):
    """Django's connection of each thread, which Django takes longer to look up than a row takes to be parsed."""

    def __init__(self) -> None:
        self.connection = connections[DEFAULT_DB_ALIAS]


class Handler(WSGIHandler):
    """A WSGI handler that calls the endpoints of the API itself, and returns their answers as a list.

    granian sends a list at once, and an iterator in pieces. Django's signals at the start and end of a request check
    the thread's database connection. A request of the API returns its connection to the pool at its end, so that there
    is nothing to check before the next one; the check at its end is needed only if it used PostgreSQL.
    """

    request_class = PlainRequest

    def __init__(self) -> None:
        super().__init__()
        self.answer = Endpoints().respond
        self.security_headers = security_headers()
        self.database = ThreadDatabase()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:  # type: ignore[override]
        tell_client(environ)
        request_id = begin_request(environ)
        is_of_the_api = environ["PATH_INFO"].startswith(API)
        response = self.respond(environ) if is_of_the_api else refuse_large_page(environ)
        if response is None:
            return super().__call__(environ, partial(start_with, start_response, request_id))
        headers = [("Content-Type", response.content_type), *response.headers.items()]
        start_response(STATUS_LINES[response.status_code], [*headers, *self.security_headers, request_id])
        if self.database.connection.connection is not None:
            request_finished.send(sender=type(self))
        return [response.body]

    def respond(self, environ: dict[str, Any]) -> ApiResponse | None:
        """Return the answer of an endpoint; None where Django has to answer."""
        try:
            request = ApiRequest(environ)
        except UnicodeDecodeError:
            return error_response("client_error", code="invalid", detail="The path is not UTF-8.", status=400)
        return self.answer(request)


def refuse_large_page(environ: dict[str, Any]) -> ApiResponse | None:
    """Return 413 for a form that is too large; Django would answer 400, and read files of any size."""
    if declared_length(environ) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return None
    return ApiResponse(b"The body is too large.", status=413, content_type="text/plain")


def start_with(
    start_response: Callable[..., Any], header: tuple[str, str], status: str, headers: list[tuple[str, str]],
    *error: object,
) -> Any:  # fmt: skip
    """Start a response of Django's with one more header."""
    return start_response(status, [*headers, header], *error)


def security_headers() -> list[tuple[str, str]]:
    """Return the headers that Django's SecurityMiddleware adds to every answer.

    They depend on the request only by whether it uses HTTPS, which the API's do where the settings ask for it.
    """
    request, response = HttpRequest(), HttpResponse()
    if settings.SECURE_SSL_REDIRECT:
        name, value = settings.SECURE_PROXY_SSL_HEADER
        request.META[name] = value
    del response["Content-Type"]
    SecurityMiddleware(lambda request: response).process_response(request, response)
    return list(response.items())
