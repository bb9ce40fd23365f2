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
from django.views import defaults
from psycopg.errors import QueryCanceled

from featurehub.http.errors import RETRY_AFTER_SECONDS, error_response, unavailable

AWAY = "PostgreSQL, the database of FeatureHub, does not answer. The pages of the admin need it."
SLOW = "PostgreSQL took longer than {seconds:g} seconds for this page, and was stopped."


def server_error(request: HttpRequest) -> HttpResponse:
    """Return 503 where PostgreSQL does not answer, else 500: in the API's form under /api/, else as a page."""
    error, is_of_the_api = sys.exc_info()[1], request.path.startswith("/api/")
    if isinstance(error, OperationalError | InterfaceError):
        return unavailable() if is_of_the_api else unavailable_page(request, error)
    if not is_of_the_api:
        return defaults.server_error(request)
    return error_response(
        "server_error", code="error", detail="An internal error occurred; it is logged.", status_code=500
    )


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
