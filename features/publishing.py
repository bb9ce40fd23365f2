"""From history to the online store: what is published is what PostgreSQL holds, never what a process has in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from django.conf import settings

from features import history, store
from features.formulas import RFM_SCORE, Floats, microseconds, recency_score, rfm_score
from features.history import Latest
from features.models import Customer, FeatureType
from features.registry import registry
from features.store import Published

CUSTOMERS_PER_CHUNK = 1_000


def publish(customer_ids: Sequence[str]) -> None:
    """Publishes the live values of these customers and renews their TTL. Older values never replace newer ones.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    if customer_ids:
        store.publish(current_values(customer_ids))


def publish_everybody(*, progress: Callable[[int], object] = lambda done: None) -> int:
    """Publishes every known customer, in chunks by id. Returns how many; `progress` is told how many a chunk had.

    Raises as `publish` does.
    """
    published, last = 0, ""
    following = Customer.objects.order_by("pk").values_list("pk", flat=True)
    while chunk := list(following.filter(pk__gt=last)[:CUSTOMERS_PER_CHUNK]):
        publish(chunk)
        progress(len(chunk))
        published += len(chunk)
        last = chunk[-1]
    return published


def current_values(customer_ids: Sequence[str]) -> dict[str, list[Published]]:
    """The newest values of each customer, one entry a live feature type, also where there are none. One query."""
    live = registry.get().live
    nothing = {name: absent(name) for name in live}
    values = {customer_id: dict(nothing) for customer_id in customer_ids}
    rows = history.latest(customer_ids, versions={name: live[name] for name in live if name != FeatureType.DERIVED})
    computed = [row for row in rows if row.feature_type == FeatureType.BEHAVIORAL]
    for row, by_type in zip(computed, as_computed(computed, live=live), strict=True):
        values[row.customer_id] |= by_type
    for row in rows:
        if row.feature_type != FeatureType.BEHAVIORAL:
            values[row.customer_id][row.feature_type] = as_stored(row, as_of=row.timestamp)
    return {customer_id: list(by_type.values()) for customer_id, by_type in values.items()}


def absent(feature_type: str) -> Published:
    """The entry of a customer that has no values of a type."""
    return Published(feature_type=feature_type, version=None, as_of=None, sequence=0, features={}, metadata={})


def as_stored(row: Latest, *, as_of: datetime, **changed: Any) -> Published:
    """A row's values, with the features or the metadata `changed`."""
    return Published(
        feature_type=row.feature_type,
        version=row.version,
        as_of=as_of,
        sequence=row.id,
        **{"features": row.features, "metadata": row.metadata, **changed},
    )


def as_computed(rows: Sequence[Latest], *, live: Mapping[str, str]) -> Iterator[dict[str, Published]]:
    """For each behavioral row its values, and those derived from them, at the moment up to which they are known to
    hold: only time has moved them since they were appended."""
    moments = [max(row.timestamp, row.computed_at or row.timestamp) for row in rows]
    recency = recency_score(
        np.array([row.metadata["activity"]["last_purchase_us"] for row in rows], dtype=np.int64),
        as_of_us=np.array([microseconds(moment) for moment in moments], dtype=np.int64),
        window_days=settings.WINDOW_DAYS,
    )
    scores = rfm_score(recency, frequency=column(rows, "frequency_score"), monetary=column(rows, "monetary_score"))
    for row, as_of, moved, score in zip(rows, moments, recency.tolist(), scores.tolist(), strict=True):
        behavioral = as_stored(
            row,
            as_of=as_of,
            features={**row.features, "recency_score": moved},
            metadata=row.metadata if row.weight_set_id is None else {**row.metadata, "weight_set": row.weight_set_id},
        )
        yield {row.feature_type: behavioral, **derived(behavioral, score=score, live=live)}


def derived(behavioral: Published, *, score: float, live: Mapping[str, str]) -> dict[str, Published]:
    """The derived values of a behavioral row's moment, where derived values are live."""
    if FeatureType.DERIVED not in live:
        return {}
    values = replace(
        behavioral,
        feature_type=FeatureType.DERIVED,
        version=live[FeatureType.DERIVED],
        features={RFM_SCORE: score},
        metadata={},
    )
    return {FeatureType.DERIVED: values}


def column(rows: Sequence[Latest], name: str) -> Floats:
    return np.array([row.features[name] for row in rows])
