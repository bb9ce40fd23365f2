"""Parts of the OpenAPI schema: request bodies as they are decoded, and the error responses of every operation."""

from typing import Any

import msgspec

# Status → (reason, whether the answer has a Retry-After header).
REFUSALS = {
    "400": ("The input is wrong; `attr` names the part of it.", False),
    "401": ("The API key is missing or unknown.", False),
    "403": ("The API key lacks the scope.", False),
    "404": ("The requested object does not exist.", False),
    "415": ("The body is declared as something else than JSON.", False),
    "429": ("The API key has reached its limit of requests per minute.", True),
    "503": ("A required service is unavailable.", True),
}
ERROR = {
    "type": "object",
    "required": ["type", "errors"],
    "properties": {
        "type": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "detail", "attr"],
                "properties": {
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    "attr": {"type": ["string", "null"]},
                },
            },
        },
    },
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def json_request(body: type[msgspec.Struct], *, example: Any) -> dict[str, Any]:
    """Return a request body for `extend_schema`: the JSON Schema of the struct that decodes it, with an example."""
    (schema,), components = msgspec.json.schema_components([body], ref_template="#/components/schemas/{name}")
    return {"application/json": {**schema, "$defs": components, "examples": [example]}}


def name_request_bodies(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Move the structs of `json_request` to the components, and the example beside it; a postprocessing hook."""
    for path in result["paths"].values():
        for body in [operation["requestBody"] for operation in path.values() if "requestBody" in operation]:
            body["required"] = True
            for media in body["content"].values():
                schema = media["schema"]
                result["components"]["schemas"].update(schema.pop("$defs", {}))
                for example in schema.pop("examples", []):
                    media["example"] = example
    return result


def add_refusals(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add every error response to every operation; a postprocessing hook of drf-spectacular."""
    result["components"]["schemas"]["Error"] = ERROR
    for path in result["paths"].values():
        for operation in path.values():
            for status, (description, says_when) in REFUSALS.items():
                operation["responses"].setdefault(status, refusal_response(description, says_when=says_when))
    return result


def refusal_response(description: str, *, says_when: bool) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": description, "content": content, **({"headers": RETRY_AFTER} if says_when else {})}
