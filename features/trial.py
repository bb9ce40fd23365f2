"""The formulas on events that are given, not stored: the in-process engine."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from events.validation import NewEvent
from featurehub.errors import InvalidError
from features import weights
from features.engines import in_process
from features.explanation import contributions
from features.formulas import behavioral, microseconds
from features.models import FeatureType
from features.registry import registry


def compute_features(
    events: Sequence[NewEvent],
    *,
    as_of: datetime,
    weight_changes: Mapping[str, Mapping[str, float]],
    monetary_norm: float | None,
) -> dict[str, Any]:
    """The behavioral CustomerFeature of one customer's events at `as_of`, with the explanation of its score.

    The active weights hold, with `weight_changes` (event type → {"weight", "norm"}) over them. Raises InvalidError
    where the events are of several customers.
    """
    customer_ids = sorted({event.customer_id for event in events})
    if len(customer_ids) > 1:
        raise InvalidError(f"These are events of {len(customer_ids)} customers: send one's.", attr="events")
    version = registry.get().live[FeatureType.BEHAVIORAL]
    weight_set = weights.active_set(version)
    numbers = weights.merged(weights.as_weights(weight_set), changes=weight_changes, monetary_norm=monetary_norm)
    customer_id = customer_ids[0] if customer_ids else ""
    activity = in_process.aggregate(events, customer_id=customer_id, as_of=as_of, window_days=settings.WINDOW_DAYS)
    values = behavioral(activity, weights=numbers, as_of_us=microseconds(as_of), window_days=settings.WINDOW_DAYS)
    record = activity.to_records()[0]
    return {
        "customer_id": customer_id,
        "features": {name: float(column[0]) for name, column in values.items()},
        "timestamp": as_of,
        "feature_type": FeatureType.BEHAVIORAL,
        "version": version,
        "metadata": {
            "weight_set": None if weight_changes or monetary_norm is not None else weight_set.pk,
            "activity": record,
            **contributions(record, weights=numbers),
        },
    }
