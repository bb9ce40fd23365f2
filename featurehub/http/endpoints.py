"""Call the endpoints of the API without Django's middleware and URL resolver, which cost more than a read of Redis.

The API has no sessions, cookies, forms or frames. Hosts are checked where an answer depends on one. Decision 5 has the
figures, and docs/operations.md says how to add a middleware that sees the API's requests.
"""

import re
from time import perf_counter

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework import status

from featurehub.lib.traffic import REQUEST_BOUNDS, REQUESTS, traffic

API = "/api/v1/"
# Any other method is counted as one: a client chooses its name.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Endpoints:
    """The endpoints under /api/v1/. Their URLs are tried in order, reads first."""

    def __init__(self) -> None:
        self.routes = [
            (pattern.pattern.match, pattern.callback, name_of_endpoint(pattern)) for pattern in api_patterns()
        ]

    def respond(self, request: HttpRequest) -> HttpResponse | None:
        """Return the answer of the endpoint with the request's URL.

        None where Django has to answer: for an unknown URL, and for a request that must use HTTPS and does not.
        """
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return None
        path = request.path_info.removeprefix(API)
        for match, view, endpoint in self.routes:
            if found := match(path):
                begun = perf_counter()
                response: HttpResponse = view(request, **found[2])
                count_answer(request, endpoint, status_code=response.status_code, seconds=perf_counter() - begun)
                return response
        return None


def count_answer(request: HttpRequest, endpoint: str, *, status_code: int, seconds: float) -> None:
    """Count an answer, except one of the pool `reads` on which the front asks the next pool."""
    if status_code == status.HTTP_503_SERVICE_UNAVAILABLE and settings.POOL == "reads":
        return
    method = request.method if request.method in METHODS else "other"
    traffic.observe((REQUESTS, (method or "", endpoint, str(status_code))), seconds, bounds=REQUEST_BOUNDS)


def name_of_endpoint(pattern: URLPattern) -> str:
    """Return the path after /api/v1/ as the contract writes it: customers/{customer_id}/features/."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))


def api_patterns() -> list[URLPattern]:
    """Return the URL patterns of the endpoints, relative to /api/v1/."""
    return next(
        [pattern for pattern in part.url_patterns if isinstance(pattern, URLPattern)]
        for part in get_resolver().url_patterns
        if isinstance(part, URLResolver) and str(part.pattern) == API.removeprefix("/")
    )
