"""Call the endpoints of the API without Django's middleware and URL resolver, which cost more than a read of Redis.

The API has no sessions, cookies, forms or frames. Hosts are checked where an answer depends on one. Decision 5 has the
figures, and docs/operations.md says how to add a middleware that sees the API's requests.
"""

import re
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework import status

from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse
from featurehub.lib.traffic import HANDOVERS, traffic
from featurehub.observability.tracing import tracing

API = "/api/v1/"
# Any other method is counted as one: a client chooses its name.
METHODS: dict[str | None, str] = {
    method: method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
# Django's own `match` of a route looks for converters as well, which none of the API's has.
Match = Callable[[str], "re.Match[str] | None"]
UNAVAILABLE = status.HTTP_503_SERVICE_UNAVAILABLE


class Endpoints:
    """The endpoints under /api/v1/. Their URLs are tried in order, reads first."""

    def __init__(self) -> None:
        # The classes are ApiViews, whose module can't be imported before Django is set up.
        self.routes: list[tuple[Match, type[Any], str]] = [
            (pattern.pattern.regex.match, pattern.callback.view_class, name_of_endpoint(pattern))  # type: ignore[attr-defined]
            for pattern in api_patterns()
        ]

    def respond(self, request: ApiRequest) -> ApiResponse | None:
        """Return the answer of the endpoint with the request's URL.

        None where Django has to answer: for an unknown URL, and for a request that must use HTTPS and does not.
        """
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return None
        path = request.path.removeprefix(API)
        response: ApiResponse
        for match, view_class, endpoint in self.routes:
            if found := match(path):
                begun = perf_counter()
                if tracing.is_on and tracing.wants(request.META):
                    response = answer_traced(
                        request, endpoint, partial(view_class().answer, request, **found.groupdict())
                    )
                else:
                    response = view_class().answer(request, **found.groupdict())
                if response.status_code == UNAVAILABLE and settings.POOL == "reads":
                    # The front asks the next pool, which counts its answer.
                    traffic.count((HANDOVERS, (endpoint,)), number=1)
                else:
                    method = METHODS.get(request.method, "other")
                    traffic.note_answer((method, endpoint, response.status_code), perf_counter() - begun)
                return response
        return None


def answer_traced(request: ApiRequest, endpoint: str, answer: Callable[[], ApiResponse]) -> ApiResponse:
    """Return the answer, and trace what is done for it."""
    with tracing.request(request.META, method=METHODS.get(request.method, "other"), endpoint=endpoint) as span:
        response = answer()
        span.status_code = response.status_code
    return response


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
