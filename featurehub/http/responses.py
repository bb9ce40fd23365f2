"""Build JSON responses with orjson."""

from datetime import datetime
from typing import Any

import msgspec
import orjson
from django.http import HttpResponse

JSON = "application/json"


def json_response(data: Any, *, status: int = 200) -> HttpResponse:
    """Return the data as JSON: datetimes in UTC with a Z, doubles as their shortest text, structs as objects."""
    return json_body(orjson.dumps(data, default=struct_as_object, option=orjson.OPT_UTC_Z), status=status)


def struct_as_object(value: object) -> Any:
    """Return a struct as the JSON Schema of its class describes it."""
    if not isinstance(value, msgspec.Struct):
        raise TypeError(f"{type(value).__name__} has no JSON form.")
    return msgspec.to_builtins(value, builtin_types=(datetime,))


def json_body(body: bytes, *, status: int = 200) -> HttpResponse:
    """Return a body that is JSON already."""
    return HttpResponse(body, content_type=JSON, status=status)
