"""The base view of every endpoint under /api/v1/: API keys, scopes, request bodies."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import status
from rest_framework.exceptions import (
    MethodNotAllowed,
    ParseError,
    PermissionDenied,
)
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from featurehub.access.authentication import ApiKeyAuthentication, Client, client_of
from featurehub.http.errors import PayloadTooLarge, as_api_exception
from featurehub.http.peers import declared_length
from featurehub.http.responses import json_response
from featurehub.lib.errors import json_problem, wrong_shape

T = TypeVar("T")


class ApiView(APIView):
    """Base class of the endpoints.

    `scopes` names the scope that each method needs; other methods are not allowed. Handlers take Django's request and
    return Django's response. There is one form of JSON and nothing to negotiate, and DRF's Request and Response would
    cost more than a read from Redis (decision 5). Errors are handled by DRF.
    """

    scopes: ClassVar[Mapping[str, str]]
    # Set by `admit`.
    client: Client
    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = ()
    # For the OpenAPI schema.
    renderer_classes = (JSONRenderer,)
    parser_classes = (JSONParser,)

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Set the attributes of the view, without `self.head`.

        Django's method sets it to a bound method, a reference cycle that only garbage collection frees.
        """
        self.request = request  # type: ignore[assignment]
        self.args, self.kwargs = args, kwargs

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        method = "GET" if request.method == "HEAD" else str(request.method)
        try:
            self.admit(request, method=method)
            response: HttpResponse = getattr(self, method.lower())(request, *args, **kwargs)
        except Exception as error:  # DRF's exception handler reports what it can't handle: a 500
            response = self.refusal(error)
        return response

    def admit(self, request: HttpRequest, *, method: str) -> None:
        """Authenticate the request. Raise an APIException if the method, the key or its scopes are not accepted."""
        scope = self.scopes.get(method)
        if scope is None:
            raise MethodNotAllowed(method)
        self.client = client_of(request)
        if scope not in self.client.scopes:
            raise PermissionDenied(f"This API key lacks the scope {scope}.")

    def refusal(self, error: Exception) -> HttpResponse:
        """Return the response of DRF's exception handler to the error."""
        self.request = self.initialize_request(self.request, *self.args, **self.kwargs)
        refused = self.handle_exception(error)
        response = json_response(refused.data, status=refused.status_code)
        for name, value in refused.headers.items():
            response.headers.setdefault(name, value)
        if refused.status_code == status.HTTP_405_METHOD_NOT_ALLOWED:
            response.headers["Allow"] = ", ".join(self.scopes)
        return response


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The description of API keys in the OpenAPI schema."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Api-Key KEY"}


def body_as(decoder: "msgspec.json.Decoder[T]", request: HttpRequest, *, most: int | None = None) -> T:
    """Return the request's body as the decoder's type.

    Raise ParseError if it is not JSON, ValidationError if it is JSON of another shape, and PayloadTooLarge for more
    than `most` bytes, DATA_UPLOAD_MAX_MEMORY_SIZE if left out.
    """
    try:
        return decoder.decode(body_of(request, most=most or settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
    except msgspec.ValidationError as error:
        raise as_api_exception(wrong_shape(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError(f"The body is not JSON: {json_problem(error)}") from None
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None


def body_of(request: HttpRequest, *, most: int) -> bytes:
    """Return the request's body, also one in chunks, without its length: Django would take that for an empty one.

    Raise PayloadTooLarge for more than `most` bytes: before any is read if the length is given.
    """
    if "HTTP_TRANSFER_ENCODING" not in request.META:
        if declared_length(request.META) > most:
            raise PayloadTooLarge
        return request.read()
    body = bytearray()
    while len(body) <= most and (part := request.META["wsgi.input"].read(most + 1 - len(body))):
        body += part
    if len(body) > most:
        raise PayloadTooLarge
    return bytes(body)
