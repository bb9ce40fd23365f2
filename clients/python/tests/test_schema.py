"""The clients, their types and the fake server have what docs/openapi.json has."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from featurehub_client import AsyncFeatureHub, FeatureHub, models, sent
from featurehub_client.testing.endpoints import ENDPOINTS

SCHEMA: dict[str, Any] = json.loads((Path(__file__).resolve().parents[3] / "docs/openapi.json").read_text())
OPERATIONS = [
    (method.upper(), path.removeprefix("/api/v1/"), operation["operationId"])
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
    if method != "parameters"
]
# Types whose name here is shorter than the schema's.
NAMES = {
    "Definition": "RegisteredFeature",
    "Definitions": "RegisteredFeatures",
    "Entity": "EntityBody",
    "FeatureSet": "DescribedSet",
    "FeatureSets": "DescribedSets",
    "WeightSet": "ActivatedWeights",
}
TYPES = [
    kind
    for module in (models, sent)
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
    if kind not in (models.Answer, sent.Selection)
]


def signature_of(client: type, name: str) -> dict[str, Any]:
    return dict(inspect.signature(getattr(client, name)).parameters)


def test_every_operation_is_a_method_of_both_clients_with_the_same_arguments() -> None:
    for _, _, name in OPERATIONS:
        assert signature_of(FeatureHub, name) == signature_of(AsyncFeatureHub, name)
    public = {name for name in vars(FeatureHub) if not name.startswith("_")}
    assert public - {"close"} == {name for name in vars(AsyncFeatureHub) if not name.startswith("_")} - {"aclose"}


def test_the_fake_server_has_every_operation() -> None:
    for method, path, _ in OPERATIONS:
        address = re.sub(r"\{\w+\}", "x", path)
        assert [pattern for taken, pattern, _, _ in ENDPOINTS if taken == method and re.fullmatch(pattern, address)]
    assert len(ENDPOINTS) == len(OPERATIONS)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_a_type_has_the_fields_of_the_schema_and_needs_none_that_may_be_absent(kind: type[msgspec.Struct]) -> None:
    component = SCHEMA["components"]["schemas"][NAMES.get(kind.__name__, kind.__name__)]
    fields = msgspec.structs.fields(kind)
    assert {field.encode_name for field in fields} == set(component["properties"])
    assert {field.encode_name for field in fields if field.required} <= set(component.get("required", ()))
