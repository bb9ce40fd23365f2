"""Links of the OpenAPI schema: which answers lead to which further requests."""

from typing import Any

OF_REQUESTED = {"customer_id": "$request.path.customer_id"}
OF_POSTED = {"customer_id": "$request.body#/events/0/customer_id"}
# (method, path, status) → the names of links, with the operation and the parameters of each. Nothing leads to an
# erasure: what is linked to a customer stays readable.
LINKS: dict[tuple[str, str, str], dict[str, tuple[str, dict[str, str]]]] = {
    ("post", "/api/v1/events/", "201"): {
        "features": ("get_customer_features", OF_POSTED),
        "vector": ("get_feature_vector", OF_POSTED),
        "explanation": ("explain_score", OF_POSTED),
        "history": ("get_feature_history", OF_POSTED),
        "write": ("set_customer_features", OF_POSTED),
    },
    ("patch", "/api/v1/customers/{customer_id}/features/", "200"): {
        "features": ("get_customer_features", {"customer_id": "$response.body#/customer_id"}),
        "vector": ("get_feature_vector", {"customer_id": "$response.body#/customer_id"}),
        "history": ("get_feature_history", {"customer_id": "$response.body#/customer_id"}),
    },
    ("get", "/api/v1/customers/{customer_id}/features/", "200"): {
        "vector": ("get_feature_vector", OF_REQUESTED),
        "explanation": ("explain_score", OF_REQUESTED),
    },
    ("post", "/api/v1/feature-sets/", "201"): {
        "features": ("get_customer_features", {"set": "$response.body#/set"}),
        "set": ("get_feature_set", {"feature_set": "$response.body#/set"}),
    },
    ("get", "/api/v1/definitions/", "200"): {
        "history": ("get_feature_history", {"name": "$response.body#/results/0/name"}),
    },
    ("get", "/api/v1/weights/", "200"): {
        "explanation": ("explain_score", {"weights": "$response.body#/results/0/id"}),
    },
}


def add_links(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add LINKS to the answers; a postprocessing hook of drf-spectacular."""
    for (method, path, status), links in LINKS.items():
        result["paths"][path][method]["responses"][status]["links"] = {
            name: {"operationId": operation, "parameters": parameters}
            for name, (operation, parameters) in links.items()
        }
    return result
