"""Parts of the OpenAPI schema: bodies and answers as msgspec structs, and the error responses of every operation."""

from typing import Annotated, Any, Literal

import msgspec
from drf_spectacular.utils import OpenApiResponse

from featurehub.http.responses import JSON

# Status → (reason, whether the answer has a Retry-After header).
REFUSALS = {
    "400": ("The input is wrong; `attr` names the part of it.", False),
    "401": ("The API key is missing, unknown, expired or revoked.", False),
    "403": ("The API key lacks the scope.", False),
    "404": ("What the request names does not exist.", False),
    "429": ("The API key has reached its limit of requests per minute.", True),
    "503": ("A part that is needed is down.", True),
}
REFUSALS_OF_BODIES = {
    "413": ("The body is too large.", False),
    "415": ("The body is declared as something else than JSON.", False),
}
REFERENCE = "#/components/schemas/{name}"
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}, "required": True}
}


class ErrorDetail(msgspec.Struct, kw_only=True):
    """One thing that is wrong."""

    code: Annotated[str, msgspec.Meta(description="A word for programs, such as `unknown_field`.")]
    detail: Annotated[str, msgspec.Meta(description="A sentence for people.")]
    attr: Annotated[str | None, msgspec.Meta(description="The part of the input that is wrong: `events.3.timestamp`.")]


class Error(msgspec.Struct, kw_only=True):
    """The refusal of a request, which changed nothing."""

    type: Literal["validation_error", "client_error", "server_error"]
    errors: list[ErrorDetail]


def json_request(body: type[msgspec.Struct], *, example: Any) -> dict[str, Any]:
    """Return a request body for `extend_schema`: the JSON Schema of the struct that decodes it, with an example."""
    return {JSON: json_schema_of(body, example=example)}


def json_answer(shape: type[msgspec.Struct], *, example: Any, description: str) -> OpenApiResponse:
    """Return an answer for `extend_schema`: the JSON Schema of a struct, with an example."""
    return OpenApiResponse(json_schema_of(shape, example=example), description=description)


def json_schema_of(shape: type[msgspec.Struct], *, example: Any) -> dict[str, Any]:
    """Return a reference to the struct, with what `place_shapes` puts elsewhere: components and the example."""
    (schema,), components = msgspec.json.schema_components([shape], ref_template=REFERENCE)
    return {
        **schema,
        "$defs": as_clients_read(components),
        "examples": [example],
    }


def as_clients_read(schema: Any) -> Any:
    """Return a schema as generators of clients understand it.

    Choices of strings have a type, which msgspec leaves out. What can be left out has no empty default: generators for
    TypeScript take a field with a default for one that is always there.
    """
    if isinstance(schema, list):
        return [as_clients_read(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    read = {name: as_clients_read(each) for name, each in schema.items()}
    if isinstance(choices := read.get("enum"), list) and all(isinstance(each, str) for each in choices):
        read.setdefault("type", "string")
    if read.get("default", 0) in (None, "", [], {}):
        del read["default"]
    return read


def place_shapes(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Move structs to the components, and examples beside their schemas; a postprocessing hook of drf-spectacular."""
    schemas: dict[str, Any] = result["components"].setdefault("schemas", {})
    for path in result["paths"].values():
        for operation in path.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            for place in [operation.get("requestBody", {}), *operation["responses"].values()]:
                for media in place.get("content", {}).values():
                    # The views' own dictionaries stay as they are, for the next generation.
                    schema = dict(media["schema"])
                    add_components(schemas, schema.pop("$defs", {}))
                    for example in schema.pop("examples", []):
                        media["example"] = example
                    media["schema"] = schema
    result["components"]["schemas"] = dict(sorted(schemas.items()))
    return result


def add_components(schemas: dict[str, Any], more: dict[str, Any]) -> None:
    """Add components. Two shapes of the same name are a mistake that would be seen by clients only."""
    for name, schema in more.items():
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"Two shapes of the API are called {name}.")


def add_refusals(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add every error response to every operation; a postprocessing hook of drf-spectacular."""
    (reference,), components = msgspec.json.schema_components([Error], ref_template=REFERENCE)
    add_components(result["components"]["schemas"], as_clients_read(components))
    for path in result["paths"].values():
        for operation in path.values():
            refusals = {**REFUSALS, **(REFUSALS_OF_BODIES if "requestBody" in operation else {})}
            for code, (description, says_when) in refusals.items():
                refusal = refusal_response(description, says_when=says_when, reference=reference)
                operation["responses"].setdefault(code, refusal)
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return result


def refusal_response(description: str, *, says_when: bool, reference: dict[str, Any]) -> dict[str, Any]:
    """Return the description of an error response."""
    content = {JSON: {"schema": reference}}
    return {"description": description, "content": content, **({"headers": RETRY_AFTER} if says_when else {})}
