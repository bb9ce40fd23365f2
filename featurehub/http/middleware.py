"""Let requests to the API bypass Django's middleware for pages, which costs more than a read of Redis (decision 5).

The API has no sessions, cookies, forms or frames. Hosts are checked where an answer depends on one.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.security import SecurityMiddleware
from django.urls import URLPattern, URLResolver, get_resolver

from featurehub.http.handler import API


class ApiMiddleware:
    """Call the views of the API directly.

    Unknown URLs, and requests that must use HTTPS and do not, continue to Django's middleware.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.security = SecurityMiddleware(get_response)
        self.patterns = api_patterns()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API) or (settings.SECURE_SSL_REDIRECT and not request.is_secure()):
            return self.get_response(request)
        path = request.path_info.removeprefix(API)
        for pattern in self.patterns:
            if match := pattern.resolve(path):
                request.resolver_match = match
                return self.security.process_response(request, match.func(request, *match.args, **match.kwargs))
        return self.get_response(request)


def api_patterns() -> list[URLPattern | URLResolver]:
    """Return the URL patterns of the endpoints, relative to /api/v1/."""
    return next(
        part.url_patterns
        for part in get_resolver().url_patterns
        if isinstance(part, URLResolver) and str(part.pattern) == API.removeprefix("/")
    )
