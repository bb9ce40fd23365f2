"""Check requests and answers of the API against its OpenAPI schema; `ApiClient` does so for each of its requests.

The check is stricter than the schema: an answer must not have a field that the schema does not name.
"""

import json
import re
from functools import cache, lru_cache
from typing import Any

import jsonschema_rs
from django.http import HttpResponse

from featurehub.http.endpoints import API
from featurehub.http.responses import JSON
from featurehub.http.schema import schema

# Answers that the schema does not tell of: to an address or a method that is not there, and a defect of FeatureHub.
NOT_SAID = (404, 405, 500)
# Larger bodies are not checked: their tests measure memory and time.
MOST_BYTES = 1024 * 1024


def check_exchange(method: str, path: str, *, sent: bytes, answer: HttpResponse) -> None:
    """Raise AssertionError where an answer, or a body that was accepted, is not what the schema says."""
    if not path.startswith(API) or answer.status_code == 301:
        return
    template = template_of(path)
    operation = schema()["paths"].get(template, {}).get("get" if method == "HEAD" else method.lower())
    status = str(answer.status_code)
    described = None if operation is None else operation["responses"].get(status)
    if described is None:
        assert operation is None or answer.status_code in NOT_SAID, f"{method} {template} does not tell of a {status}"
    for name in described.get("headers", {}) if described else ():
        assert name in answer.headers, f"{method} {template}: a {status} without {name}"
    assert answer.headers["Content-Type"] == JSON
    if method != "HEAD":
        where = ("Error",) if described is None else ("answer", template, method.lower(), status)
        complain(f"The answer {status} to {method} {path}", validator_of(*where), answer.content)
    if sent and operation is not None and answer.status_code < 300:
        complain(f"The body of {method} {path}", validator_of("body", template, method.lower()), sent)


def complain(what: str, validator: jsonschema_rs.Validator, body: bytes) -> None:
    """Raise AssertionError with all that is wrong with a body."""
    wrong = [
        f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in validator.iter_errors(json.loads(body))
    ]
    assert not wrong, f"{what} is not what the schema says: {'; '.join(wrong)[:2000]}"


@lru_cache(maxsize=4096)
def template_of(path: str) -> str:
    """Return the address as the schema writes it; the path itself where there is none."""
    return next((template for pattern, template in templates() if pattern.fullmatch(path)), path)


@lru_cache(maxsize=1)
def templates() -> list[tuple[re.Pattern[str], str]]:
    """Return a pattern for each address of the schema, addresses without parameters first."""
    paths = sorted(schema()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in paths]


@cache
def validator_of(*where: str) -> jsonschema_rs.Validator:
    """Return the validator of an error, of an operation's answer with a status, or of its body."""
    whole = schema()
    if where[0] == "Error":
        described: Any = {"$ref": "#/components/schemas/Error"}
    elif where[0] == "answer":
        _, path, method, status = where
        described = whole["paths"][path][method]["responses"][status]["content"][JSON]["schema"]
    else:
        _, path, method = where
        described = whole["paths"][path][method]["requestBody"]["content"][JSON]["schema"]
    parts = whole["components"]["schemas"]
    strict = described if where[0] == "body" else without_more_fields(described)
    components = parts if where[0] == "body" else without_more_fields(parts)
    return jsonschema_rs.Draft202012Validator({**strict, "components": {"schemas": components}}, validate_formats=True)


def without_more_fields(described: Any) -> Any:
    """Return a schema whose objects with named fields have no other fields."""
    if isinstance(described, list):
        return [without_more_fields(each) for each in described]
    if not isinstance(described, dict):
        return described
    closed = {name: without_more_fields(each) for name, each in described.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
