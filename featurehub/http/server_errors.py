"""Answers to requests that failed outside of the endpoints' own handling of errors, most of them pages.

Django loads this module when it needs it, after the models.
"""

import sys

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import is_valid_path
from django.views import defaults
from psycopg.errors import QueryCanceled

from featurehub.http.errors import RETRY_AFTER_SECONDS, error_response, unavailable

AWAY = "PostgreSQL, the database of FeatureHub, does not answer. The pages of the admin need it."
NOT_THERE = "{} leads nowhere: what it named may have been deleted, or the link is old."
NOT_IN_THE_ROLE = "Your role does not include it. An administrator can give you one that does."
OLD_FORM = "Nothing was saved. Reload the page, fill the form in again and send it. Cookies must be allowed."
SLOW = "PostgreSQL took longer than {seconds:g} seconds for this page, and was stopped."


def server_error(request: HttpRequest) -> HttpResponse:
    """Return 503 where PostgreSQL does not answer, else 500: in the API's form under /api/, else as a page."""
    error, is_of_the_api = sys.exc_info()[1], request.path.startswith("/api/")
    if isinstance(error, OperationalError | InterfaceError):
        return unavailable().as_django() if is_of_the_api else unavailable_page(request, error)
    if not is_of_the_api:
        return defaults.server_error(request)
    detail = "An internal error occurred; it is logged."
    return error_response("server_error", code="error", detail=detail, status=500).as_django()


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 404 for an unknown URL: in the API's form under /api/, else as a page of the admin."""
    if not request.path.startswith("/api/"):
        return refusal_page(request, title="There is no such page", reason=NOT_THERE.format(request.path), status=404)
    detail = f"There is no {request.path}{slash_hint(request.path)}."
    return error_response("client_error", code="not_found", detail=detail, status=404).as_django()


def slash_hint(path: str) -> str:
    """Return that the address with a slash at its end is one, if it is; else nothing."""
    with_slash = f"{path}/"
    return f"; {with_slash} ends in a slash" if is_valid_path(with_slash) else ""


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 403 for a page or a step that the user's role does not include."""
    return refusal_page(request, title="You may not do this", reason=NOT_IN_THE_ROLE, status=403)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return 403 for a form without its token: settings.CSRF_FAILURE_VIEW."""
    return refusal_page(request, title="This form is too old", reason=OLD_FORM, status=403)


def refusal_page(request: HttpRequest, *, title: str, reason: str, status: int) -> HttpResponse:
    """Return a page that says why something is refused: with the menu for staff, else like the login page."""
    is_staff = getattr(request, "user", None) is not None and request.user.is_active and request.user.is_staff
    layout = "admin/base_site.html" if is_staff else "unfold/layouts/unauthenticated.html"
    context = {**admin.site.each_context(request), "layout": layout, "title": title, "reason": reason}
    return HttpResponse(render_to_string("featurehub/refusal.html", context, request=request), status=status)


def unavailable_page(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return 503 in the admin's dress, which says what is wrong and when to try again. No query is needed.

    A page that was asked for tries again by itself; a form does not, since it may have been saved.
    """
    request.user = AnonymousUser()  # who it is, PostgreSQL knows
    is_slow = isinstance(error.__cause__, QueryCanceled) and settings.DATABASE_SECONDS is not None
    context = {
        **admin.site.each_context(request),
        "title": "PostgreSQL was too slow" if is_slow else "PostgreSQL does not answer",
        "reason": SLOW.format(seconds=settings.DATABASE_SECONDS) if is_slow else AWAY,
        "seconds": RETRY_AFTER_SECONDS,
        "tries_again": request.method == "GET" and not is_slow,
        "address": request.get_full_path(),
    }
    response = HttpResponse(render_to_string("featurehub/unavailable.html", context), status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
