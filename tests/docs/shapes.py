"""What blocks of data are held to: the schema of the API, that of definition files, the metrics that there are."""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from docs.generator.from_code import metrics_of
from tests.docs.blocks import PROJECT, Block

METRIC = re.compile(r"\bfeaturehub_[a-z_]+")
SUFFIXES = ("_bucket", "_count", "_sum")


def check_json(block: Block) -> None:
    """Check that the block is as the API's schema says of one of its shapes."""
    value = json.loads(block.code)
    schema = json.loads((PROJECT / "docs/openapi.json").read_text())
    resource: Resource[Any] = Resource.from_contents(schema, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:api", resource)
    found = []
    for name, shape in schema["components"]["schemas"].items():
        if set(value) <= set(shape.get("properties", {})):
            reference = {"$ref": f"urn:api#/components/schemas/{name}"}
            found.append(
                [error.message for error in Draft202012Validator(reference, registry=registry).iter_errors(value)]
            )
    assert [] in found, f"{block.place} is like no shape of docs/openapi.json: {found}"


def check_yaml(block: Block) -> None:
    """Check that the block is a file of definitions, or names metrics that there are, or is Prometheus' set-up."""
    value = yaml.safe_load(block.code)
    if isinstance(value, Mapping) and "scrape_configs" in value:
        return
    named = set(METRIC.findall(block.code)) - {"featurehub_metrics"}
    if named:
        known = {line.name for line in metrics_of(PROJECT)}
        known |= {name + suffix for name in known for suffix in SUFFIXES}
        assert named <= known, f"{block.place} names metrics that there are not: {sorted(named - known)}"
        return
    schema = json.loads((PROJECT / "docs/definitions.schema.json").read_text())
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(value)]
    assert errors == [], f"{block.place}: {errors}"
