"""Answers of the API, as JSON by orjson."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec
import orjson
from django.http import HttpResponse

JSON = "application/json"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class ApiResponse:
    """An answer of the API. Django's response, and its freeing, cost a third of the round trip to Redis."""

    __slots__ = ("body", "content_type", "headers", "status_code")

    def __init__(
        self, body: bytes, *, status: int = 200, content_type: str = JSON, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """Take the headers other than Content-Type."""
        self.body, self.status_code, self.content_type, self.headers = body, status, content_type, headers

    def as_django(self) -> HttpResponse:
        """Return the answer as Django's handlers take it."""
        return HttpResponse(self.body, status=self.status_code, content_type=self.content_type, headers=self.headers)


def json_response(data: Any, *, status: int = 200, headers: Mapping[str, str] = NO_HEADERS) -> ApiResponse:
    """Return the data as JSON: datetimes in UTC with a Z, doubles as their shortest text, structs as objects."""
    body = orjson.dumps(data, default=struct_as_object, option=orjson.OPT_UTC_Z)
    return ApiResponse(body, status=status, headers=headers)


def struct_as_object(value: object) -> Any:
    """Return a struct as the JSON Schema of its class describes it."""
    if not isinstance(value, msgspec.Struct):
        raise TypeError(f"{type(value).__name__} has no JSON form.")
    return msgspec.to_builtins(value, builtin_types=(datetime,))
