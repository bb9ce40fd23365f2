"""Simulate a customer: compute features from events that are given, not stored, with the in-process engine."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from events.registered_types import check_are_registered
from events.validation import NewEvent
from featurehub.lib.errors import InvalidError
from features.engines import in_process
from features.formulas.activity import counts_in
from features.formulas.values import Columns, behavioral_values, derived_values
from features.formulas.view import FeatureView
from features.models import FeatureType
from features.registry import weight_sets
from features.registry.contents import Registry
from features.registry.snapshot import registry_snapshot
from features.serving.explanation import explained


def compute_features(
    events: Sequence[NewEvent],
    *,
    as_of: datetime,
    weight_changes: Mapping[str, Mapping[str, float]],
    monetary_norm: float | None,
) -> dict[str, Any]:
    """Return the behavioral CustomerFeature of one customer's events at `as_of`, with the explanation of its score.

    The weights are the active ones, with `weight_changes` (event type → {"weight", "norm"}) and `monetary_norm` in
    their place. Raises InvalidError where the events are of several customers, or a weight of no registered event type.
    """
    check_are_registered(weight_changes, attr="weights")
    customer_ids = sorted({event.customer_id for event in events})
    if len(customer_ids) > 1:
        raise InvalidError(f"These are events of {len(customer_ids)} customers: send one's.", attr="events")
    known = registry_snapshot.get()
    view = known.live_view(FeatureType.BEHAVIORAL)
    weight_set = weight_sets.active_set(view.number)
    numbers = weight_sets.with_changes(
        weight_sets.as_weights(weight_set), changes=weight_changes, monetary_norm=monetary_norm
    )
    customer_id = customer_ids[0] if customer_ids else ""
    activity = in_process.aggregate(
        events,
        customer_id=customer_id,
        as_of=as_of,
        window_days=settings.WINDOW_DAYS,
        features=list(view.windowed.values()),
    )
    values = behavioral_values(view, activity, weights=numbers, as_of=as_of, window_days=settings.WINDOW_DAYS)
    record = activity.to_records()[0]
    return {
        "customer_id": customer_id,
        "features": values.rows()[0],
        "timestamp": as_of,
        "feature_type": FeatureType.BEHAVIORAL,
        "version": view.number,
        "metadata": {
            "weight_set": None if weight_changes or monetary_norm is not None else weight_set.pk,
            "activity": record,
            **explained(counts_in(record), weights=numbers),
        },
        "derived": derived_from(values, view=view, known=known),
    }


def derived_from(values: Columns, *, view: FeatureView, known: Registry) -> dict[str, float]:
    """Return the live derived values that are computed from these alone; none where their input is another version."""
    derived = next((each for each in known.derived if known.is_live(each)), None)
    if derived is None or view not in known.inputs(derived):
        return {}
    return derived_values(derived, [values]).rows()[0]
