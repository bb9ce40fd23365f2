"""What every endpoint under /api/v1/ shares: JSON by orjson, API keys, one form of error."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec
import orjson
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views import defaults
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_standardized_errors.handler import exception_handler
from drf_standardized_errors.types import ExceptionHandlerContext
from psycopg_pool import PoolTimeout
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, ParseError, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from featurehub.access.authentication import ApiKeyAuthentication, HasScope
from featurehub.errors import ConflictError, FeatureHubError, UnavailableError, UnknownError

T = TypeVar("T")
RETRY_AFTER_SECONDS = 5


class JsonRenderer(BaseRenderer):
    """JSON by orjson: UTC with a Z, doubles as their shortest text."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else orjson.dumps(data, option=orjson.OPT_UTC_Z)


class NoParser(BaseParser):
    """Bodies are read by `body_as`, whatever they call themselves."""

    media_type = "*/*"


class OnlyJson(BaseContentNegotiation):
    """There is one parser and one renderer, so nothing is negotiated."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """Base of the endpoints. `scopes` names the scope that each method needs."""

    scopes: ClassVar[Mapping[str, str]]
    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = (HasScope,)
    renderer_classes = (JsonRenderer,)
    parser_classes = (NoParser,)
    content_negotiation_class = OnlyJson
    http_method_names: Sequence[str] = ("get", "head", "post", "patch", "delete")

    def scope_of(self, method: str | None) -> str | None:
        """The scope that a method needs, HEAD that of GET; None for a method that is not served."""
        return self.scopes.get("GET" if method == "HEAD" else str(method))

    def check_permissions(self, request: Request) -> None:
        if self.scope_of(request.method) is not None:
            super().check_permissions(request)


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


def body_as(decoder: "msgspec.json.Decoder[T]", request: Request) -> T:
    """The request's body as the decoder's type. Raises ParseError for no JSON, ValidationError for wrong JSON."""
    try:
        return decoder.decode(request._request.body)
    except msgspec.ValidationError as error:
        raise wrong_shape(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError(f"The body is not JSON: {error}") from None
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None


def wrong_shape(error: msgspec.ValidationError) -> ValidationError:
    """msgspec's "… - at `$.events[3].timestamp`" as a 400 with attr `events.3.timestamp`."""
    detail, _, path = str(error).partition(" - at `$")
    attr = re.sub(r"\[(\w+|\.\.\.)\]", r".\1", path.rstrip("`")).lstrip(".")
    absent = re.fullmatch(r"Object missing required field `(\w+)`", detail)
    if absent:
        return invalid("This field is required.", attr=".".join(filter(None, [attr, absent[1]])), code="required")
    return invalid(f"{detail}.", attr=attr or None)


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
    body = orjson.dumps({"type": kind, "errors": [{"code": code, "detail": detail, "attr": None}]})
    return HttpResponse(body, content_type="application/json", status=status_code)
