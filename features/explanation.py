"""Why a score is what it is: each event type's part in it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from events.event_types import EVENT_TYPES
from features.formulas import Weights, normalised, unclamped_score
from features.models import FeatureType
from features.serving import get_feature_values
from features.weights import activated_weights

SCORE = "engagement_score"


def explain(customer_id: str) -> dict[str, Any]:
    """The contributions to a customer's score; zeros and no weight set for a customer without one."""
    values = get_feature_values([customer_id], names=[SCORE], with_metadata=True)[0]
    metadata = values.metadata.get(FeatureType.BEHAVIORAL)
    return {
        "customer_id": customer_id,
        "weight_set": metadata["weight_set"] if metadata else None,
        "computed_at": values.computed_at,
        **(
            contributions(metadata["activity"], weights=activated_weights(metadata["weight_set"])) if metadata else NONE
        ),
        SCORE: values.features[SCORE],
    }


NONE: Mapping[str, Any] = {"contributions": [], "unclamped_score": 0.0}


def contributions(counts: Mapping[str, float], *, weights: Weights) -> dict[str, Any]:
    """Each event type's count, normalised value, weight and contribution; they add up to `unclamped_score`."""
    columns = {name: np.array([counts[name]], dtype=np.int64) for name in EVENT_TYPES}
    parts = normalised(columns, weights=weights)
    rows = [
        {
            "event_type": name,
            "count": counts[name],
            "norm": weights.norm[name],
            "normalised": float(parts[name][0]),
            "weight": weights.weight[name],
            "contribution": weights.weight[name] * float(parts[name][0]),
        }
        for name in EVENT_TYPES
    ]
    return {"contributions": rows, "unclamped_score": float(unclamped_score(columns, weights=weights)[0])}
