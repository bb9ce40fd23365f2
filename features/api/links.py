"""Links of the OpenAPI schema: which answers lead to which further requests."""

from typing import Any

OF_REQUESTED = {"customer_id": "$request.path.customer_id"}
OF_POSTED = {"customer_id": "$request.body#/events/0/customer_id"}
# (method, path, status) → the names of links, with the operation and the parameters of each. Nothing leads to an
# erasure: what is linked to a customer stays readable.
LINKS: dict[tuple[str, str, str], dict[str, tuple[str, dict[str, str]]]] = {
    ("post", "/api/v1/events/", "201"): {
        "features": ("v1_customers_features_retrieve", OF_POSTED),
        "vector": ("v1_customers_vector_retrieve", OF_POSTED),
        "explanation": ("v1_customers_explanation_retrieve", OF_POSTED),
        "history": ("v1_customers_features_history_retrieve", OF_POSTED),
        "write": ("v1_customers_features_partial_update", OF_POSTED),
    },
    ("patch", "/api/v1/customers/{customer_id}/features/", "200"): {
        "features": ("v1_customers_features_retrieve", {"customer_id": "$response.body#/customer_id"}),
        "vector": ("v1_customers_vector_retrieve", {"customer_id": "$response.body#/customer_id"}),
        "history": ("v1_customers_features_history_retrieve", {"customer_id": "$response.body#/customer_id"}),
    },
    ("get", "/api/v1/customers/{customer_id}/features/", "200"): {
        "vector": ("v1_customers_vector_retrieve", OF_REQUESTED),
        "explanation": ("v1_customers_explanation_retrieve", OF_REQUESTED),
    },
    ("post", "/api/v1/feature-sets/", "201"): {
        "features": ("v1_customers_features_retrieve", {"set": "$response.body#/set"}),
        "set": ("v1_feature_sets_retrieve", {"feature_set": "$response.body#/set"}),
    },
    ("get", "/api/v1/definitions/", "200"): {
        "history": ("v1_customers_features_history_retrieve", {"name": "$response.body#/results/0/name"}),
    },
    ("get", "/api/v1/weights/", "200"): {
        "explanation": ("v1_customers_explanation_retrieve", {"weights": "$response.body#/results/0/id"}),
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
