"""Django's WSGI handler, with less work around requests to the API (decision 5)."""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware

from featurehub.http.endpoints import API, Endpoints
from featurehub.http.errors import error_response
from featurehub.http.peers import declared_length, tell_client
from featurehub.observability.ids import begin_request


class ThreadDatabase(threading.local):
    """Django's connection of each thread, which Django takes longer to look up than a row takes to be parsed."""

    def __init__(self) -> None:
        self.connection = connections[DEFAULT_DB_ALIAS]


class PlainRequest(WSGIRequest):
    """A request that ignores the parameters of its content type: bodies and forms are UTF-8.

    Django looks charsets up, and Python keeps the names of those that it does not know for ever: anybody could fill the
    memory with them, without a key. A parameter with a charset of its own (`name*=charset'...`) that is unknown would
    even be a 500, so that the body of such a request is no form. Django's parser of uploads finds its boundary itself.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        header = meta.get("CONTENT_TYPE", "")
        self.content_type = "" if "*" in header else header.partition(";")[0].strip().lower()
        self.content_params = {}


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
        path = environ["PATH_INFO"]
        response = self.respond(environ) if path.startswith(API) else self.refuse_large_page(environ)
        if response is None:
            start = partial(start_with, start_response, request_id)
            return super().__call__({**environ, "PATH_INFO": path}, start)
        headers = [*response.items(), *self.security_headers, request_id]
        start_response(f"{response.status_code} {response.reason_phrase}", headers)
        if self.database.connection.connection is not None:
            response.close()
        return [response.content]

    def respond(self, environ: dict[str, Any]) -> HttpResponse | None:
        """Return the answer of an endpoint; None where Django has to answer."""
        if not is_utf8(environ["PATH_INFO"]):
            return error_response("client_error", code="invalid", detail="The path is not UTF-8.", status_code=400)
        return self.answer(self.request_class(environ))

    def refuse_large_page(self, environ: dict[str, Any]) -> HttpResponse | None:
        """Return 413 for a form that is too large; Django would answer 400, and read files of any size."""
        if declared_length(environ) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return None
        return HttpResponse("The body is too large.", status=413, content_type="text/plain")


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


def is_utf8(path: str) -> bool:
    """Return whether a path, which has its bytes as latin-1, is UTF-8.

    Django would replace other bytes by their escapes, so that %FF meant the id of three characters "%FF".
    """
    if path.isascii():
        return True
    try:
        path.encode("iso-8859-1").decode()
    except UnicodeDecodeError:
        return False
    return True
