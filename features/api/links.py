"""Links of the OpenAPI schema: which answers lead to which further requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A further request: its operation, and the parameters and the parts of the body that the answer gives."""

    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    def as_openapi(self) -> dict[str, Any]:
        body = {} if self.body is None else {"requestBody": self.body}
        return {"operationId": self.operation, "parameters": self.parameters, **body}


OF_REQUESTED = {"customer_id": "$request.path.customer_id"}
OF_POSTED = {"customer_id": "$request.body#/events/0/customer_id"}
OF_ANSWER = {"customer_id": "$response.body#/customer_id"}
FEATURES, VECTOR = "get_customer_features", "get_feature_vector"
EXPLANATION, HISTORY = "explain_score", "get_feature_history"
WRITE = "set_customer_features"
SET_ITSELF = Link(operation="get_feature_set", parameters={"feature_set": "$response.body#/set"})
# (method, path, status) → the links by name. Nothing leads to an erasure: what is linked to a customer stays readable.
# Nor does a set that was just made lead to its values: for 5 s there are processes that do not know it.
LINKS: dict[tuple[str, str, str], dict[str, Link]] = {
    ("get", "/api/v1/customers/", "200"): {
        "events": Link(
            operation="store_events",
            body={"events": [{"customer_id": "$response.body#/results/0/customer_id"}]},
        ),
        "write": Link(operation=WRITE, parameters={"customer_id": "$response.body#/results/0/customer_id"}),
    },
    ("post", "/api/v1/events/", "201"): {
        "features": Link(operation=FEATURES, parameters=OF_POSTED),
        "vector": Link(operation=VECTOR, parameters=OF_POSTED),
        "explanation": Link(operation=EXPLANATION, parameters=OF_POSTED),
        "history": Link(operation=HISTORY, parameters=OF_POSTED),
        "write": Link(operation=WRITE, parameters=OF_POSTED),
    },
    ("patch", "/api/v1/customers/{customer_id}/features/", "200"): {
        "features": Link(operation=FEATURES, parameters=OF_ANSWER),
        "vector": Link(operation=VECTOR, parameters=OF_ANSWER),
        "history": Link(operation=HISTORY, parameters=OF_ANSWER),
    },
    ("get", "/api/v1/customers/{customer_id}/features/", "200"): {
        "vector": Link(operation=VECTOR, parameters=OF_REQUESTED),
        "explanation": Link(operation=EXPLANATION, parameters=OF_REQUESTED),
    },
    ("post", "/api/v1/feature-sets/", "201"): {"set": SET_ITSELF},
    ("post", "/api/v1/feature-sets/", "200"): {
        "features": Link(operation=FEATURES, parameters={"set": "$response.body#/set"}),
        "set": SET_ITSELF,
    },
    ("get", "/api/v1/definitions/", "200"): {
        "history": Link(operation=HISTORY, parameters={"name": "$response.body#/results/0/name"}),
    },
    ("get", "/api/v1/weights/", "200"): {
        "explanation": Link(operation=EXPLANATION, parameters={"weights": "$response.body#/results/0/id"}),
    },
}


def add_links(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add LINKS to the answers; a postprocessing hook of drf-spectacular."""
    for (method, path, status), links in LINKS.items():
        result["paths"][path][method]["responses"][status]["links"] = {
            name: link.as_openapi() for name, link in links.items()
        }
    return result
