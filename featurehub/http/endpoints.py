"""Call the endpoints of the API without Django's middleware and URL resolver, which cost more than a read of Redis.

The API has no sessions, cookies, forms or frames. Hosts are checked where an answer depends on one. Decision 5 has the
figures, and docs/operations.md says how to add a middleware that sees the API's requests.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver

API = "/api/v1/"


class Endpoints:
    """The endpoints under /api/v1/. Their URLs are tried in order, reads first."""

    def __init__(self) -> None:
        self.routes = [(pattern.pattern.match, pattern.callback) for pattern in api_patterns()]

    def respond(self, request: HttpRequest) -> HttpResponse | None:
        """Return the answer of the endpoint with the request's URL.

        None where Django has to answer: for an unknown URL, and for a request that must use HTTPS and does not.
        """
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return None
        path = request.path_info.removeprefix(API)
        for match, view in self.routes:
            if found := match(path):
                response: HttpResponse = view(request, **found[2])
                return response
        return None


def api_patterns() -> list[URLPattern]:
    """Return the URL patterns of the endpoints, relative to /api/v1/."""
    return next(
        [pattern for pattern in part.url_patterns if isinstance(pattern, URLPattern)]
        for part in get_resolver().url_patterns
        if isinstance(part, URLResolver) and str(part.pattern) == API.removeprefix("/")
    )
