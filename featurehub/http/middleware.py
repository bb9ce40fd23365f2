"""Let requests to the API bypass Django's middleware for pages, also where another handler than ours serves them."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.security import SecurityMiddleware

from featurehub.http.endpoints import API, Endpoints


class ApiMiddleware:
    """Call the endpoints of the API directly; what they can't answer continues to Django's middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.security = SecurityMiddleware(get_response)
        self.endpoints = Endpoints()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.endpoints.respond(request) if request.path_info.startswith(API) else None
        return self.get_response(request) if response is None else self.security.process_response(request, response)
