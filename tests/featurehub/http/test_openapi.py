"""The OpenAPI schema as people and generators read it: texts, examples, and the file in docs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from featurehub.http.responses import JSON
from featurehub.http.schema import schema, schema_as

KEPT = Path(__file__).resolve().parents[3] / "docs/openapi.json"


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation with its id."""
    for path in schema()["paths"].values():
        for operation in path.values():
            yield operation["operationId"], operation


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(schema()).validate()


def test_the_file_in_docs_is_the_schema() -> None:
    again = "write it again with manage.py spectacular --format openapi-json --file docs/openapi.json"
    assert json.loads(KEPT.read_text()) == json.loads(schema_as("application/vnd.oai.openapi+json")), again


def test_operations_have_names_and_texts() -> None:
    known = {tag["name"] for tag in schema()["tags"]}
    for name, operation in operations():
        assert name.count("_") >= 1, name
        assert not name.startswith("v1_"), name
        assert operation["summary"], name
        assert operation["description"].endswith("."), name
        assert set(operation["tags"]) <= known, name
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])


def test_every_body_and_answer_has_an_example() -> None:
    for name, operation in operations():
        for status, answer in operation["responses"].items():
            assert status >= "300" or "example" in answer["content"][JSON], (name, status)
        assert "example" in operation.get("requestBody", {"content": {JSON: {"example": 0}}})["content"][JSON], name


@pytest.mark.parametrize("name", [name for name, _ in operations()])
def test_examples_have_the_shape_of_what_they_are_an_example_of(name: str) -> None:
    operation = dict(operations())[name]
    for part in (operation.get("requestBody"), *operation["responses"].values()):
        if part is not None and "example" in part["content"][JSON]:
            described = {**part["content"][JSON]["schema"], "components": schema()["components"]}
            jsonschema_rs.Draft202012Validator(described, validate_formats=True).validate(
                part["content"][JSON]["example"]
            )


def test_what_can_be_left_out_has_no_default_that_generators_take_for_always_there() -> None:
    event = schema()["components"]["schemas"]["NewEvent"]
    assert "event_id" not in event["required"]
    assert "default" not in event["properties"]["event_id"]
    assert "default" not in event["properties"]["metadata"]
    assert schema()["components"]["schemas"]["RegisteredFeature"]["properties"]["default"]["type"] == "number"


def test_links_lead_to_operations_that_there_are() -> None:
    names = {name for name, _ in operations()}
    for name, operation in operations():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                assert link["operationId"] in names, name
