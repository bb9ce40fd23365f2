"""From history to the online store: what is published is what PostgreSQL holds, never what a process has in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.conf import settings

from features import history, store
from features.formulas import RFM_SCORE, microseconds, recency_score, rfm_score
from features.history import Latest
from features.models import FeatureType
from features.registry import registry
from features.store import Published


def publish(customer_ids: Sequence[str]) -> None:
    """Publishes the live values of these customers and renews their TTL. Older values never replace newer ones.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    if customer_ids:
        store.publish(current_values(customer_ids))


def current_values(customer_ids: Sequence[str]) -> dict[str, list[Published]]:
    """The newest values of each customer, one entry a live feature type, also where there are none. One query."""
    live = registry.get().live
    stored = {name: version for name, version in live.items() if name != FeatureType.DERIVED}
    rows = history.latest(customer_ids, versions=stored)
    values = {customer_id: {name: absent(name) for name in live} for customer_id in customer_ids}
    for row in rows:
        values[row.customer_id][row.feature_type] = as_computed(row)
    if FeatureType.DERIVED in live:
        for by_type in values.values():
            by_type[FeatureType.DERIVED] = derived(by_type[FeatureType.BEHAVIORAL], version=live[FeatureType.DERIVED])
    return {customer_id: list(by_type.values()) for customer_id, by_type in values.items()}


def absent(feature_type: str) -> Published:
    """The entry of a customer that has no values of a type."""
    return Published(feature_type=feature_type, version=None, as_of=None, sequence=0, features={}, metadata={})


def as_computed(row: Latest) -> Published:
    """A row's values at the moment they were last computed: only time has moved them since they were appended."""
    as_of = row.timestamp
    features: Mapping[str, float] = row.features
    metadata: Mapping[str, Any] = row.metadata
    if row.feature_type == FeatureType.BEHAVIORAL and row.computed_at is not None:
        as_of = max(row.timestamp, row.computed_at)
        last_purchase_us = np.array([row.metadata["activity"]["last_purchase_us"]])
        recency = recency_score(last_purchase_us, as_of_us=microseconds(as_of), window_days=settings.WINDOW_DAYS)
        features = {**row.features, "recency_score": float(recency[0])}
        metadata = {**row.metadata, "weight_set": row.weight_set_id}
    return Published(
        feature_type=row.feature_type,
        version=row.version,
        as_of=as_of,
        sequence=row.id,
        features=features,
        metadata=metadata,
    )


def derived(behavioral: Published, *, version: str) -> Published:
    """The derived values, from the behavioral ones of the same moment."""
    if behavioral.as_of is None:
        return absent(FeatureType.DERIVED)
    names = ("recency_score", "frequency_score", "monetary_score")
    recency, frequency, monetary = (np.array([behavioral.features[name]]) for name in names)
    score = rfm_score(recency, frequency=frequency, monetary=monetary)
    return Published(
        feature_type=FeatureType.DERIVED,
        version=version,
        as_of=behavioral.as_of,
        sequence=behavioral.sequence,
        features={RFM_SCORE: float(score[0])},
        metadata={},
    )
