"""Django's WSGI handler, with less work around requests to the API (decision 5)."""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import connection
from django.http import HttpResponse

from featurehub.http.errors import error_response
from featurehub.http.peers import declared_length, tell_client

API = "/api/v1/"


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
    """A WSGI handler that returns answers of the API as a list.

    granian sends a list at once, and an iterator in pieces. Django's signals at the start and end of a request check
    the thread's database connection. A request of the API returns its connection to the pool at its end, so that there
    is nothing to check before the next one; the check at its end is needed only if it used PostgreSQL.
    """

    request_class = PlainRequest

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:  # type: ignore[override]
        tell_client(environ)
        if not environ["PATH_INFO"].startswith(API):
            if declared_length(environ) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
                return super().__call__(environ, start_response)
            response = page_too_large()
        else:
            response = self.respond(environ) if is_utf8(environ["PATH_INFO"]) else path_not_utf8()
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        if connection.connection is not None:
            response.close()
        return [response.content]

    def respond(self, environ: dict[str, Any]) -> HttpResponse:
        response = self.get_response(self.request_class(environ))
        assert isinstance(response, HttpResponse)
        return response


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


def path_not_utf8() -> HttpResponse:
    return error_response("client_error", code="invalid", detail="The path is not UTF-8.", status_code=400)


def page_too_large() -> HttpResponse:
    """Return 413 for a form; Django would answer 400, and read files of any size."""
    return HttpResponse("The body is too large.", status=413, content_type="text/plain")
