"""Let requests to the API, probes and scrapes bypass Django's middleware for pages, whichever handler serves them."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.security import SecurityMiddleware
from django.urls import resolve

from featurehub.http.endpoints import API, Endpoints

# They are asked by the address of a pod, which is not in ALLOWED_HOSTS, and by HTTP.
FOR_MACHINES = frozenset(("/healthz", "/readyz", "/metrics"))


class ApiMiddleware:
    """Call the endpoints of the API and the pages for machines directly; the rest continues to Django's middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.security = SecurityMiddleware(get_response)
        self.endpoints = Endpoints()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponse | None = None
        if request.path_info.startswith(API):
            response = self.endpoints.respond(request)
        elif request.path_info in FOR_MACHINES:
            response = resolve(request.path_info).func(request)
        return self.get_response(request) if response is None else self.security.process_response(request, response)
