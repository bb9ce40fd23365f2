"""Pages of the reference that are made of JSON Schemas: the HTTP API and the file of definitions."""

import json
from collections.abc import Iterator
from typing import Any

from docs.generator.tables import in_cell

MADE = "<!-- Made by docs/generator. -->\n"
METHODS = ("get", "post", "patch", "delete")
LIMITS = {
    "minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than", "minLength": "characters, at least",
    "maxLength": "characters, at most", "minItems": "items, at least", "maxItems": "items, at most",
    "maxProperties": "names, at most", "pattern": "pattern",
}  # fmt: skip


# --- HTTP ---------------------------------------------------------------------------------------------------------


def http_page(schema: dict[str, Any]) -> str:
    """Return the page of the operations by tag, then of the shapes."""
    parts = [
        "# HTTP",
        MADE,
        "Made of [openapi.json](../openapi.json), which a running FeatureHub serves at `/api/schema/`; its page",
        "`/api/docs/` lets you try each call. Keys, limits and errors: [contract](../contract.md#6-http).",
        "",
    ]
    for tag in schema["tags"]:
        parts += [f"## {tag['name']}", "", tag["description"], ""]
        for method, path, operation in operations_of(schema):
            if tag["name"] in operation["tags"]:
                parts += operation_parts(method, path, operation)
    parts += ["## Shapes", "", "What requests and answers consist of.", ""]
    for name, shape in schema["components"]["schemas"].items():
        parts += shape_parts(name, shape, level=3)
    return "\n".join(parts)


def operations_of(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in schema["paths"].items():
        for method in METHODS:
            if method in operations:
                yield method, path, operations[method]


def operation_parts(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    parts = [f"### {operation['summary']} {{ #{operation['operationId']} }}", ""]
    parts += [f"`{method.upper()} {path}`, operation `{operation['operationId']}`", "", operation["description"], ""]
    if parameters := operation.get("parameters"):
        parts += ["| parameter | in | type | is |", "|---|---|---|---|"]
        parts += [parameter_row(each) for each in parameters]
        parts.append("")
    if body := operation.get("requestBody"):
        content = body["content"]["application/json"]
        parts += [f"Body: {type_of(content['schema'])}", ""]
        parts += example_parts(content)
    for status, answer in operation["responses"].items():
        content = answer.get("content", {}).get("application/json", {})
        if status.startswith("2"):
            parts += [f"**{status}** {answer['description']} {type_of(content.get('schema', {}))}", ""]
            parts += example_parts(content)
    refused = [status for status in operation["responses"] if not status.startswith("2")]
    return [*parts, f"Errors: {', '.join(refused)}, each {link_to('Error')}.", ""]


def parameter_row(parameter: dict[str, Any]) -> str:
    name = f"`{parameter['name']}`" + (", required" if parameter.get("required") else "")
    text = in_cell(parameter.get("description", ""))
    return f"| {name} | {parameter['in']} | {type_of(parameter['schema'])} | {text} |"


def example_parts(content: dict[str, Any]) -> list[str]:
    examples = [content["example"]] if "example" in content else []
    examples += [each["value"] for each in content.get("examples", {}).values() if "value" in each]
    blocks = (json.dumps(example, indent=2, ensure_ascii=False) for example in examples)
    return [line for block in blocks for line in ("```json", block, "```", "")]


# --- Shapes -------------------------------------------------------------------------------------------------------


def shape_parts(name: str, shape: dict[str, Any], *, level: int) -> list[str]:
    """Return a heading, the text and a table of the fields."""
    parts = [f"{'#' * level} {name} {{ #{anchor(name)} }}", "", shape.get("description", ""), ""]
    if values := shape.get("enum"):
        parts += ["One of " + ", ".join(f"`{value}`" for value in values) + ".", ""]
    if fields := shape.get("properties"):
        required = shape.get("required", [])
        parts += ["| field | type | is |", "|---|---|---|"]
        for field, its in fields.items():
            name_cell = f"`{field}`" + (", required" if field in required else "")
            parts.append(f"| {name_cell} | {type_of(its)} | {in_cell(its.get('description', ''))} |")
        parts.append("")
    return parts


def type_of(schema: dict[str, Any]) -> str:
    """Return the type of a schema as text, with links to the shapes and with its limits."""
    if reference := schema.get("$ref"):
        return link_to(reference.rsplit("/", 1)[1])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(type_of(each) for each in schema[key]))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    base = schema.get("type", "anything")
    base = " or ".join(base) if isinstance(base, list) else base
    if base == "array":
        base = f"list of {type_of(schema.get('items', {}))}"
    elif base == "object" and isinstance(schema.get("additionalProperties"), dict):
        base = f"object: name → {type_of(schema['additionalProperties'])}"
    limits = [f"{text} {limit_text(key, schema[key])}" for key, text in LIMITS.items() if key in schema]
    return base + (f" ({'; '.join(limits)})" if limits else "")


def limit_text(key: str, value: Any) -> str:
    return f"`{in_cell(value)}`" if key == "pattern" else f"{value:,}"


def link_to(name: str) -> str:
    return f"[{name}](#{anchor(name)})"


def anchor(name: str) -> str:
    return f"shape-{name.lower().replace(' ', '-')}"


def definitions_page(schema: dict[str, Any]) -> str:
    """Return the page of the file of definitions."""
    parts = [
        "# The file of definitions",
        MADE,
        "Made of [definitions.schema.json](../definitions.schema.json). What the file is for, and an example:",
        "[definitions as code](../definitions-as-code.md).",
        "",
    ]
    shapes = schema.get("$defs", {})
    root = schema if "properties" in schema else shapes[schema["$ref"].rsplit("/", 1)[1]]
    parts += shape_parts("The file", root, level=2)
    for name, shape in shapes.items():
        if shape is not root:
            parts += shape_parts(name, shape, level=2)
    return "\n".join(parts)
