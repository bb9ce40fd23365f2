"""Explanation of a customer's score: the contribution of each event type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from events.registered_types import event_types
from features.formulas.activity import counts_in
from features.formulas.behavioral import Weights, normalised, unclamped_score
from features.models import FeatureType, FeatureVersion, WeightSet
from features.registry.weight_sets import activated_weights, weights_of
from features.serving.feature_store import get_feature_values

SCORE = "engagement_score"
DRAFTS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderDraft:
    """The score that a customer would have under a weight set that was never activated."""

    weight_set: WeightSet
    score: float


def explain(customer_id: str, *, weight_set_id: int | None = None) -> dict[str, Any]:
    """Return the contributions to a customer's score; without a score, none of them and no weight set.

    With `weight_set_id`, return what they would be under that set, from the same stored activity. Raises UnknownError
    for a set that does not exist.
    """
    tried = None if weight_set_id is None else weights_of(weight_set_id)
    values = get_feature_values([customer_id], names=[SCORE], with_metadata=True)[0]
    metadata = values.metadata.get(FeatureType.BEHAVIORAL)
    head: dict[str, Any] = {"customer_id": customer_id, "weight_set": None, "computed_at": values.computed_at}
    if metadata is None:
        return {**head, **NONE, SCORE: values.features[SCORE]}
    counts = counts_in(metadata["activity"])
    if tried is None:
        head["weight_set"] = metadata["weight_set"]
        parts = explained(counts, weights=activated_weights(metadata["weight_set"]))
        return {**head, **parts, SCORE: values.features[SCORE]}
    head["weight_set"] = weight_set_id
    parts = explained(counts, weights=tried)
    return {**head, **parts, SCORE: min(parts["unclamped_score"], 1.0)}


def under_drafts(customer_id: str) -> list[UnderDraft]:
    """Return the customer's score under the newest DRAFTS_SHOWN sets that may become active in the live version."""
    of_live = WeightSet.objects.filter(activated_at__isnull=True, version__state=FeatureVersion.State.LIVE)
    sets = of_live.select_related("version")
    return [
        UnderDraft(weight_set=row, score=explain(customer_id, weight_set_id=row.pk)[SCORE])
        for row in sets[:DRAFTS_SHOWN]
    ]


NONE: Mapping[str, Any] = {"contributions": [], "unclamped_score": 0.0}


def explained_types(*counts: Mapping[str, int], weights: Sequence[Weights]) -> list[str]:
    """Return the types that an explanation names: those that take events, and archived ones that count or weigh."""
    known = event_types.get()
    used = {name for each in counts for name, number in each.items() if number}
    used.update(name for each in weights for name, weight in each.weight.items() if weight)
    names = [name for name in known.names if name in known.accepted or name in used]
    return list(dict.fromkeys([*names, *sorted(used)]))


def explained(counts: Mapping[str, int], *, weights: Weights) -> dict[str, Any]:
    """Return the contributions of every type that an explanation names."""
    return contributions(counts, weights=weights, names=explained_types(counts, weights=[weights]))


def contributions(counts: Mapping[str, int], *, weights: Weights, names: Sequence[str]) -> dict[str, Any]:
    """Return each event type's count, norm, weight and contribution; the contributions add up to `unclamped_score`.

    A contribution is weight × min(count / norm, 1); `normalised` is its second factor. `names` are the types to tell
    of: those of `explained_types`.
    """
    columns = {name: np.array([counts.get(name, 0)], dtype=np.int64) for name in {*counts, *names}}
    parts = normalised(columns, weights=weights)
    rows = [
        {
            "event_type": name,
            "count": counts.get(name, 0),
            "norm": weights.norm_of(name),
            "normalised": float(parts[name][0]),
            "weight": weights.weight_of(name),
            "contribution": weights.weight_of(name) * float(parts[name][0]),
        }
        for name in names
    ]
    return {"contributions": rows, "unclamped_score": float(unclamped_score(columns, weights=weights)[0])}
