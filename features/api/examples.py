"""Examples of requests and answers for the OpenAPI schema; a test holds each of them to its shape."""

from typing import Any

CUSTOMER_EXAMPLE = "c1"
VERSIONS_EXAMPLE = {"behavioral": "1.0", "contextual": "1.0"}
FEATURES_EXAMPLE = {"engagement_score": 0.75, "cart_value": 99.5}

FEATURES_PATCH_EXAMPLE = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 99.5}}
VALUES_EXAMPLE: dict[str, Any] = {
    "customer_id": CUSTOMER_EXAMPLE,
    "versions": VERSIONS_EXAMPLE,
    "features": {**FEATURES_EXAMPLE, "foo": 0.0},
    "missing": {"foo": "unknown"},
    "computed_at": "2026-01-31T12:00:00Z",
    "age_seconds": 12.3,
    "source": "cache",
}
WRITTEN_EXAMPLE: dict[str, Any] = {
    "customer_id": CUSTOMER_EXAMPLE,
    "features": {"cart_value": 99.5, "items_in_cart": 2.0},
    "timestamp": "2026-01-31T12:00:00Z",
    "feature_type": "contextual",
    "version": "1.0",
    "metadata": {},
}
HISTORY_EXAMPLE = {
    "next": "https://features.example.com/api/v1/customers/c1/features/cart_value/history/"
    "?cursor=older-1769860800000000-17",
    "previous": None,
    "results": [{**WRITTEN_EXAMPLE, "recorded_at": "2026-01-31T12:00:00.25Z"}],
}
VECTOR_EXAMPLE = {
    "customer_id": CUSTOMER_EXAMPLE,
    "features": FEATURES_EXAMPLE,
    "timestamp": "2026-01-31T12:00:00Z",
    "feature_type": "vector",
    "version": "1.0",
    "metadata": {"weight_set": 1},
    "versions": VERSIONS_EXAMPLE,
    "missing": {},
    "source": "cache",
}
CONTRIBUTIONS_EXAMPLE = [
    {"event_type": "purchase", "count": 3, "norm": 10.0, "normalised": 0.3, "weight": 0.3, "contribution": 0.09}
]
EXPLANATION_EXAMPLE = {
    "customer_id": CUSTOMER_EXAMPLE,
    "weight_set": 1,
    "computed_at": "2026-01-31T12:00:00Z",
    "contributions": CONTRIBUTIONS_EXAMPLE,
    "unclamped_score": 0.09,
    "engagement_score": 0.09,
}
RECEIPT_EXAMPLE = {
    "customer_id": CUSTOMER_EXAMPLE,
    "erased_at": "2026-01-31T12:00:00Z",
    "events": 120,
    "history_rows": 14,
    "redis_keys": 1,
    "done": True,
}
RECEIPT_OF_LATER_EXAMPLE = {**RECEIPT_EXAMPLE, "redis_keys": None, "done": False}

BATCH_EXAMPLE = {"customer_ids": ["c1", "c2"], "names": ["engagement_score", "cart_value"]}
BATCH_VALUES_EXAMPLE = {
    "results": [
        {**VALUES_EXAMPLE, "features": FEATURES_EXAMPLE, "missing": {}},
        {**VALUES_EXAMPLE, "customer_id": "c2", "features": FEATURES_EXAMPLE, "missing": {}, "source": "database"},
    ]
}
BATCH_PATCH_EXAMPLE = {
    "feature_type": "contextual",
    "version": "1.0",
    "rows": [
        {"customer_id": "c1", "features": {"cart_value": 99.5}},
        {"customer_id": "c2", "features": {"cart_value": 12.0}, "timestamp": "2026-01-31T12:00:00Z"},
    ],
}
WRITTEN_ROWS_EXAMPLE = {"accepted": 2, "appended": 2}
COMPUTE_EXAMPLE = {
    "events": [{"customer_id": "c1", "event_type": "login", "timestamp": "2026-01-31T12:00:00Z"}],
    "as_of": "2026-02-01T00:00:00Z",
    "weights": {"login": {"weight": 0.5}},
}
SIMULATED_EXAMPLE = {
    "customer_id": CUSTOMER_EXAMPLE,
    "features": {"engagement_score": 0.0167, "login_frequency": 1.0},
    "timestamp": "2026-02-01T00:00:00Z",
    "feature_type": "behavioral",
    "version": "1.0",
    "metadata": {
        "weight_set": None,
        "activity": {"login": 1},
        "contributions": [
            {
                "event_type": "login",
                "count": 1,
                "norm": 30.0,
                "normalised": 0.0333,
                "weight": 0.5,
                "contribution": 0.0167,
            }
        ],
        "unclamped_score": 0.0167,
    },
    "derived": {"rfm_score": 0.0},
}
AS_OF_EXAMPLE = {
    "entities": [{"customer_id": "c1", "timestamp": "2026-01-31T12:00:00Z"}],
    "names": ["engagement_score", "cart_value"],
}
AS_OF_ROWS_EXAMPLE = {
    "results": [
        {
            "customer_id": CUSTOMER_EXAMPLE,
            "timestamp": "2026-01-31T12:00:00Z",
            "features": {"engagement_score": 0.75, "cart_value": 0.0},
            "missing": {"cart_value": "no_value"},
        }
    ]
}
CUSTOMERS_EXAMPLE = {
    "as_of": "2026-01-31T12:00:00Z",
    "filled": 1.0,
    "next": None,
    "results": [
        {
            "customer_id": CUSTOMER_EXAMPLE,
            "features": {"engagement_score": 0.75, "rfm_score": 0.5, "loyalty_tier": None},
            "days_since_purchase": 3.2,
            "days_since_seen": 0.1,
        }
    ],
}
DEFINITIONS_EXAMPLE = {
    "sampled_customers": 1000,
    "results": [
        {
            "name": "engagement_score",
            "feature_type": "behavioral",
            "description": "How much a customer does, weighted by event type",
            "owner": "FeatureHub",
            "unit": "share",
            "default": 0.0,
            "minimum": 0.0,
            "maximum": 1.0,
            "tags": [],
            "versions": ["1.0"],
            "since_version": "1.0",
            "window": None,
            "expression": None,
            "coverage": 0.4,
            "median_age_seconds": 310.5,
        }
    ],
}
FEATURE_SET_REQUEST_EXAMPLE = {
    "name": "churn_model",
    "names": ["engagement_score", "recency_score", "cart_value"],
    "version": ["behavioral:1.0"],
    "reason": "What the churn model of May takes",
}
FEATURE_SET_EXAMPLE = {
    "set": "churn_model:3",
    "name": "churn_model",
    "number": 3,
    "names": ["engagement_score", "recency_score", "cart_value"],
    "versions": VERSIONS_EXAMPLE,
    "readable": True,
    "reason": "What the churn model of May takes",
    "made_at": "2026-01-31T12:00:00Z",
}
FEATURE_SETS_EXAMPLE = {"results": [FEATURE_SET_EXAMPLE]}
WEIGHT_SET_EXAMPLE = {
    "id": 1,
    "name": "First weights",
    "version": "1.0",
    "version_state": "live",
    "state": "active",
    "origin": "hand",
    "reason": "The weights of the start",
    "created_at": "2026-01-01T00:00:00Z",
    "activated_at": "2026-01-01T00:00:00Z",
    "monetary_norm": 1000.0,
    "weights": {"page_view": {"weight": 0.3, "norm": 100.0}},
}
WEIGHT_SETS_EXAMPLE = {"active": WEIGHT_SET_EXAMPLE, "results": [WEIGHT_SET_EXAMPLE]}
