"""What every endpoint under /api/v1/ shares: JSON by orjson, API keys, one form of error."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import msgspec
import orjson
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views import defaults
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_standardized_errors.handler import exception_handler
from drf_standardized_errors.types import ExceptionHandlerContext
from psycopg_pool import PoolTimeout
from rest_framework import status
from rest_framework.exceptions import (
    APIException,
    MethodNotAllowed,
    NotFound,
    ParseError,
    PermissionDenied,
    ValidationError,
)
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from featurehub.access.authentication import ApiKeyAuthentication, Client, client_of
from featurehub.errors import ConflictError, FeatureHubError, UnavailableError, UnknownError, wrong_shape

JSON = "application/json"
T = TypeVar("T")
RETRY_AFTER_SECONDS = 5


def json_response(data: Any, *, status: int = 200) -> HttpResponse:
    """JSON by orjson: UTC with a Z, doubles as their shortest text."""
    return json_body(orjson.dumps(data, option=orjson.OPT_UTC_Z), status=status)


def json_body(body: bytes, *, status: int = 200) -> HttpResponse:
    """A body that is JSON already."""
    return HttpResponse(body, content_type=JSON, status=status)


class ApiView(APIView):
    """Base of the endpoints. `scopes` names the scope that each method needs; other methods are not allowed.

    Handlers take Django's request and give Django's response: there is one form of JSON, so nothing is negotiated,
    and DRF's Request and Response would cost more than a read from Redis does (decision 5). Errors go DRF's way.
    """

    scopes: ClassVar[Mapping[str, str]]
    # Who asks, once they are admitted.
    client: Client
    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = ()
    # For the OpenAPI schema.
    renderer_classes = (JSONRenderer,)
    parser_classes = (JSONParser,)

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Without the reference to a method that Django's keeps: it makes a cycle, which costs a garbage collection."""
        self.request = request  # type: ignore[assignment]
        self.args, self.kwargs = args, kwargs

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        method = "GET" if request.method == "HEAD" else str(request.method)
        try:
            self.admit(request, method=method)
            response: HttpResponse = getattr(self, method.lower())(request, *args, **kwargs)
        except Exception as error:  # a 500 where DRF's exception handler knows no better; it reports those
            response = self.refusal(error)
        return response

    def admit(self, request: HttpRequest, *, method: str) -> None:
        """Raises an APIException where the method, the key or its scopes are not what the endpoint takes."""
        scope = self.scopes.get(method)
        if scope is None:
            raise MethodNotAllowed(method)
        self.client = client_of(request)
        if scope not in self.client.scopes:
            raise PermissionDenied(f"This API key lacks the scope {scope}.")

    def refusal(self, error: Exception) -> HttpResponse:
        """What DRF's exception handler makes of the error."""
        self.request = self.initialize_request(self.request, *self.args, **self.kwargs)
        refused = self.handle_exception(error)
        response = json_response(refused.data, status=refused.status_code)
        for name, value in refused.headers.items():
            response.headers.setdefault(name, value)
        if refused.status_code == status.HTTP_405_METHOD_NOT_ALLOWED:
            response.headers["Allow"] = ", ".join(self.scopes)
        return response


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI schema describes the keys."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Api-Key KEY"}


class PayloadTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is too large."
    default_code = "too_large"


class Unavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "A part that is needed is down; ask again later."
    default_code = "unavailable"
    wait = RETRY_AFTER_SECONDS


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


def handle_error(error: Exception, context: ExceptionHandlerContext) -> Response | None:
    """DRF's exception handler: services' errors get a status here and nowhere else."""
    return exception_handler(as_api_exception(error), context)


def as_api_exception(error: Exception) -> Exception:
    """The APIException that says the same; other exceptions as they are."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout | UnavailableError):
        return Unavailable()
    if isinstance(error, RequestDataTooBig):
        return PayloadTooLarge()
    if isinstance(error, SuspiciousOperation):  # a host that is not ours, thousands of query parameters
        return ParseError(str(error))
    if isinstance(error, UnknownError):
        return NotFound(error.detail, code=error.code)
    if isinstance(error, ConflictError):
        return Conflict(error.detail, code=error.code)
    if isinstance(error, FeatureHubError):
        return invalid(error.detail, attr=error.attr, code=error.code)
    return error


def invalid(detail: str, *, attr: str | None, code: str = "invalid") -> ValidationError:
    """A 400 that names the part of the input."""
    return ValidationError({attr: [detail]} if attr else [detail], code=code)


def body_as(decoder: "msgspec.json.Decoder[T]", request: HttpRequest) -> T:
    """The request's body as the decoder's type. Raises ParseError for no JSON, ValidationError for wrong JSON."""
    try:
        return decoder.decode(request.body)
    except msgspec.ValidationError as error:
        raise as_api_exception(wrong_shape(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError(f"The body is not JSON: {error}") from None
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 for a URL that leads nowhere: in the API's form under /api/, Django's page elsewhere."""
    if not request.path.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    return error_response("client_error", code="not_found", detail=f"There is no {request.path}.", status_code=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 in the API's form under /api/."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    return error_response("server_error", code="error", detail="Something failed here; it is logged.", status_code=500)


def error_response(kind: str, *, code: str, detail: str, status_code: int) -> HttpResponse:
    """An error in the contract's form, outside of DRF."""
    return json_response({"type": kind, "errors": [{"code": code, "detail": detail, "attr": None}]}, status=status_code)
