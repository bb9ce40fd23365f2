"""Add error responses to the OpenAPI schema, the same for every operation."""

from typing import Any

# Status → (reason, whether the answer has a Retry-After header).
REFUSALS = {
    "400": ("The input is wrong; `attr` names the part of it.", False),
    "401": ("The API key is missing or unknown.", False),
    "403": ("The API key lacks the scope.", False),
    "404": ("The requested object does not exist.", False),
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
                    "attr": {"type": "string", "nullable": True},
                },
            },
        },
    },
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


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
