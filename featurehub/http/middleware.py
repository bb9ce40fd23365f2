"""Let requests to the API, probes and scrapes bypass Django's middleware for pages, and count the pages' times."""

from collections.abc import Callable
from time import perf_counter

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.security import SecurityMiddleware
from django.urls import resolve

from featurehub.http.endpoints import API, METHODS, Endpoints
from featurehub.http.requests import ApiRequest
from featurehub.lib.traffic import PAGE_BOUNDS, PAGE_TIMES, traffic

# They are asked by the address of a pod, which is not in ALLOWED_HOSTS, and by HTTP.
FOR_MACHINES = frozenset(("/healthz", "/readyz", "/metrics"))


class ApiMiddleware:
    """Call the endpoints of the API and the pages for machines directly, whichever handler serves them.

    The rest continues to Django's middleware.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.security = SecurityMiddleware(get_response)
        self.endpoints = Endpoints()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponse | None = None
        if request.path_info.startswith(API):
            answer = self.endpoints.respond(ApiRequest.of(request))
            response = None if answer is None else answer.as_django()
        elif request.path_info in FOR_MACHINES:
            response = resolve(request.path_info).func(request)
        return self.get_response(request) if response is None else self.security.process_response(request, response)


class PageTimes:
    """Count the pages with their times, until an answer begins. Their route names them: no id, and not many."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        begun = perf_counter()
        response = self.get_response(request)
        page = "unknown" if request.resolver_match is None else request.resolver_match.route
        labels = (METHODS.get(request.method, "other"), page, str(response.status_code))
        traffic.observe((PAGE_TIMES, labels), perf_counter() - begun, bounds=PAGE_BOUNDS)
        return response
