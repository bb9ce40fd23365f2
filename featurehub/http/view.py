"""The base view of every endpoint under /api/v1/: API keys, scopes, request bodies."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import status
from rest_framework.exceptions import (
    MethodNotAllowed,
    ParseError,
    PermissionDenied,
    UnsupportedMediaType,
)
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from featurehub.access.authentication import ApiKeyAuthentication, Client, client_of
from featurehub.access.limits import take_back_request
from featurehub.http.errors import PayloadTooLarge, Unavailable, as_api_exception, unavailable
from featurehub.http.peers import declared_length
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import JSON, ApiResponse, json_response
from featurehub.lib.errors import DatabaseNeeded, InvalidError, json_problem
from featurehub.lib.humanize import listed
from featurehub.lib.same_keys import LONGEST_NAME, refuse_same_keys
from featurehub.lib.wrong_shapes import ANY_KEY, wrong_shape

logger = logging.getLogger(__name__)
T = TypeVar("T")
# Longer query strings, or with more parameters, are parsed each time: the cache has to stay small.
CACHED_QUERY_CHARACTERS = 8_192
CACHED_QUERY_PARAMETERS = 8
# Content types of bodies that are read as JSON: none, JSON's, and the one that `curl -d` declares by itself.
TAKEN_AS_JSON = frozenset(("", JSON, "application/x-www-form-urlencoded"))


class ApiView(APIView):
    """Base class of the endpoints.

    `scopes` names the scope that each method needs; other methods are not allowed. `parameters` names the query
    parameters that each method takes, none where it is left out, and `repeated` those of them that may be given more
    than once; `query_class` is the class of the parsed query string, which many requests share. Handlers take an
    ApiRequest and return an ApiResponse: there is one form of JSON and nothing to negotiate, and the requests and
    responses of Django and DRF would cost more than a read from Redis (decision 5). Errors are handled by DRF.
    """

    scopes: ClassVar[Mapping[str, str]]
    parameters: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    repeated: ClassVar[tuple[str, ...]] = ()
    query_class: ClassVar[type[QueryDict]] = QueryDict
    # Set by `admit`.
    client: Client
    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = ()
    # For the OpenAPI schema.
    renderer_classes = (JSONRenderer,)
    parser_classes = (JSONParser,)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer a request for which Django has looked up the view."""
        return self.answer(ApiRequest.of(request), **kwargs).as_django()

    def answer(self, request: ApiRequest, **kwargs: str) -> ApiResponse:
        """Answer a request; `kwargs` are the parts of its path."""
        self.kwargs = kwargs
        method = "GET" if request.method == "HEAD" else request.method
        try:
            self.admit(request, method=method)
            # Only now: nothing of a request without a valid key is parsed or cached.
            request.GET = self.query_of(request, method=method)
            response: ApiResponse = getattr(self, method.lower())(request, **kwargs)
        except DatabaseNeeded:
            response = self.leave_to_the_next_pool()
        except Exception as error:  # DRF's exception handler reports what it can't handle: a 500
            response = self.refusal(request, error)
        return response

    def query_of(self, request: ApiRequest, *, method: str) -> QueryDict:
        """Return the parsed query string, which is immutable; the last 256 short ones are cached.

        Clients request customer after customer with the same query string. WSGI has its bytes as latin-1.
        """
        text: str = request.META.get("QUERY_STRING", "")
        is_short = len(text) <= CACHED_QUERY_CHARACTERS and text.count("&") < CACHED_QUERY_PARAMETERS
        return (cached_query if is_short else parse_query)(text, type(self), method)  # type: ignore[arg-type]

    def admit(self, request: ApiRequest, *, method: str) -> None:
        """Authenticate the request. Raise an APIException if the method, the key or its scopes are not accepted."""
        scope = self.scopes.get(method)
        if scope is None:
            raise MethodNotAllowed(method)
        self.client = client_of(request.META)
        if scope not in self.client.scopes:
            raise PermissionDenied(f"This API key lacks the scope {scope}.")

    def leave_to_the_next_pool(self) -> ApiResponse:
        """Return the 503 on which the front sends the request to the pool `api`, which counts it, too."""
        client: Client | None = getattr(self, "client", None)  # none where the key is unknown here
        if client is not None and client.requests_per_minute is not None:
            take_back_request(client.key_id)
        return unavailable()

    def refusal(self, request: ApiRequest, error: Exception) -> ApiResponse:
        """Return the response of DRF's exception handler to the error, or 503 where a part is away."""
        if isinstance(as_api_exception(error), Unavailable):
            logger.warning("%s %s is answered with 503: %s", request.method, request.path, error)
            return unavailable()
        self.request = self.initialize_request(request.django)
        refused = self.handle_exception(error)
        headers = {name: value for name, value in refused.headers.items() if name != "Content-Type"}
        if refused.status_code == status.HTTP_405_METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(self.scopes)
        return json_response(refused.data, status=refused.status_code, headers=headers)


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The description of API keys in the OpenAPI schema."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key. `Authorization: Api-Key KEY` is the same.",
        }


def parse_query(text: str, view: type[ApiView], method: str) -> QueryDict:
    """Return the parsed query string. Raise InvalidError for a parameter that is not known, or given too often."""
    query, known = view.query_class(text.encode("iso-8859-1")), view.parameters.get(method, ())
    for name, values in query.lists():
        if name not in known:
            named, there_are = name[:LONGEST_NAME], listed(known) or "none"
            detail = f"There is no query parameter {named!r} here; there are {there_are}."
            raise InvalidError(detail, attr=named, code="unknown_parameter")
        if len(values) > 1 and name not in view.repeated:
            raise InvalidError(f"The query parameter {name!r} is given more than once.", attr=name)
    return query


cached_query = lru_cache(maxsize=256)(parse_query)


def body_as(
    decoder: "msgspec.json.Decoder[T]", request: ApiRequest, *, most: int | None = None, refuse_twice: bool = False
) -> T:
    """Return the request's body as the decoder's type.

    Raise ParseError if it is not JSON, ValidationError if it is JSON of another shape, UnsupportedMediaType if it is
    declared as something else, and PayloadTooLarge for more than `most` bytes, DATA_UPLOAD_MAX_MEMORY_SIZE if left out.
    With `refuse_twice`, raise InvalidError for an object with the same key twice.
    """
    body = body_of(request, most=most or settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    return decoded_as(decoder, body, refuse_twice=refuse_twice)


def decoded_as(decoder: "msgspec.json.Decoder[T]", body: bytes, *, refuse_twice: bool = False) -> T:
    """Return a body as the decoder's type. Raise as `body_as` does where it can't be decoded."""
    try:
        decoded = decoder.decode(body)
        if refuse_twice:
            refuse_same_keys(body)
        return decoded
    except msgspec.ValidationError as error:
        raise as_api_exception(wrong_shape(error, wanted=decoder.type, found=value_found(body, error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError(f"The body is not JSON: {json_problem(error)}") from None
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None


def value_found(body: bytes, error: msgspec.ValidationError) -> object:
    """Return the body without a type where the error does not name the wrong key of an object, else None."""
    try:
        return msgspec.json.decode(body) if ANY_KEY in str(error) else None
    except msgspec.DecodeError:  # of a number that no double holds
        return None


def body_of(request: ApiRequest, *, most: int) -> bytes:
    """Return the request's body, also one in chunks, without its length: Django would take that for an empty one.

    Raise UnsupportedMediaType if it is declared as something else than JSON, and PayloadTooLarge for more than `most`
    bytes: before any is read if the length is given.
    """
    if request.content_type not in TAKEN_AS_JSON:
        raise UnsupportedMediaType(request.content_type, f"Send {JSON}, not {request.content_type}.")
    read = request.META["wsgi.input"].read
    if "HTTP_TRANSFER_ENCODING" not in request.META:
        length = declared_length(request.META)
        if length > most:
            raise PayloadTooLarge
        return bytes(read(length))
    body = bytearray()
    while len(body) <= most and (part := read(most + 1 - len(body))):
        body += part
    if len(body) > most:
        raise PayloadTooLarge
    return bytes(body)
