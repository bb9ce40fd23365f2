"""Django's WSGI handler, with less around a request to the API (decision 5)."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import connection
from django.http import HttpResponse, QueryDict

API = "/api/v1/"


class Handler(WSGIHandler):
    """Answers of the API go out as a list, which granian sends at once: an iterator it sends in pieces.

    Django's signals at a request's start and end mind the thread's database connection. A request of the API ends
    without one, so there is nothing to mind before the next, and after it only where it used PostgreSQL.
    """

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:  # type: ignore[override]
        if not environ["PATH_INFO"].startswith(API):
            return super().__call__(environ, start_response)
        request = WSGIRequest(environ)
        request.GET = query_of(environ.get("QUERY_STRING", ""))  # type: ignore[assignment]
        response = self.get_response(request)
        assert isinstance(response, HttpResponse)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        if connection.connection is not None:
            response.close()
        return [response.content]


@lru_cache(maxsize=256)
def query_of(text: str) -> QueryDict:
    """Clients ask the same of customer after customer, so the last query strings are kept as they were understood.

    Immutable; WSGI gives the bytes of the query string as latin-1.
    """
    return QueryDict(text.encode("iso-8859-1"))
