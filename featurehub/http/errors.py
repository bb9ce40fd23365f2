"""Translate errors to HTTP responses, in one JSON form."""

from collections.abc import Mapping

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, TooManyFieldsSent
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views import defaults
from drf_standardized_errors.handler import exception_handler
from drf_standardized_errors.types import ExceptionHandlerContext
from rest_framework import status
from rest_framework.exceptions import (
    APIException,
    NotFound,
    ParseError,
    ValidationError,
)
from rest_framework.response import Response

from featurehub.http.responses import NO_HEADERS, ApiResponse, json_response
from featurehub.lib.errors import ConflictError, FeatureHubError, UnavailableError, UnknownError

RETRY_AFTER_SECONDS = 5


class PayloadTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is too large."
    default_code = "too_large"


class Unavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "A required service is unavailable; try again later."
    default_code = "unavailable"
    wait = RETRY_AFTER_SECONDS


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


def handle_error(error: Exception, context: ExceptionHandlerContext) -> Response | None:
    """Handle an exception as DRF does, after services' errors are given a status."""
    return exception_handler(as_api_exception(error), context)


def as_api_exception(error: Exception) -> Exception:
    """Return the APIException for a service's error, and other exceptions unchanged."""
    if isinstance(error, OperationalError | InterfaceError | UnavailableError):
        return Unavailable()
    if isinstance(error, RequestDataTooBig):
        return PayloadTooLarge()
    if isinstance(error, TooManyFieldsSent):
        return ParseError("The query string has too many parameters.")
    if isinstance(error, SuspiciousOperation):  # an unknown host
        return ParseError(str(error))
    if isinstance(error, UnknownError):
        return NotFound(error.detail, code=error.code)
    if isinstance(error, ConflictError):
        return Conflict(error.detail, code=error.code)
    if isinstance(error, FeatureHubError):
        return invalid(error.detail, attr=error.attr, code=error.code)
    return error


def unavailable() -> ApiResponse:
    """Return 503, without DRF and its traceback in the log: a part that is away is reported where it is missed."""
    return error_response(
        "server_error",
        code=Unavailable.default_code,
        detail=Unavailable.default_detail,
        status=503,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def invalid(detail: str, *, attr: str | None, code: str = "invalid") -> ValidationError:
    """Return a 400 that names the part of the input."""
    return ValidationError({attr: [detail]} if attr else [detail], code=code)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 400 for a request that Django refuses: in the API's form under /api/, else Django's page."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    detail = "The request's host or its parameters are not acceptable."
    return error_response("client_error", code="invalid", detail=detail, status=400).as_django()


def error_response(
    kind: str, *, code: str, detail: str, status: int, headers: Mapping[str, str] = NO_HEADERS
) -> ApiResponse:
    """Return an error in the API's form, without DRF."""
    errors = [{"code": code, "detail": detail, "attr": None}]
    return json_response({"type": kind, "errors": errors}, status=status, headers=headers)
