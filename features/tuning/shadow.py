"""Weight sets in shadow: scored beside the active one every day; only their page in the admin shows the result."""

from datetime import datetime

import numpy as np

from features.formulas.behavioral import unclamped_score
from features.models import ShadowDay, WeightSet
from features.registry.weight_sets import active_set, as_weights
from features.tuning.sample import Sample, load_sample
from features.tuning.statistics import rank_correlation


def observe_shadows(*, now: datetime) -> int:
    """Store today's figures of each set in shadow, over earlier ones of today. Return the number of sets.

    Both sets score the same stored activity of the same customers. Nothing is stored where no customer is active.
    """
    shadows = list(
        WeightSet.objects.filter(shadow_since__isnull=False).select_related("version").prefetch_related("weights")
    )
    sample = load_sample() if shadows else None
    if sample is not None and len(sample):
        days = [shadow_day(shadow, sample=sample, now=now) for shadow in shadows]
        ShadowDay.objects.bulk_create(
            days,
            update_conflicts=True,
            unique_fields=["weight_set", "day"],
            update_fields=[
                "against", "customers", "mean_active", "mean_shadow", "mean_difference", "rank_correlation",
                "observed_at",
            ],
        )  # fmt: skip
    return len(shadows)


def shadow_day(shadow: WeightSet, *, sample: Sample, now: datetime) -> ShadowDay:
    """Return one set's figures at `now`, not saved."""
    active = active_set(shadow.version.number)
    given = np.minimum(unclamped_score(sample.counts, weights=as_weights(active)), 1.0)
    other = np.minimum(unclamped_score(sample.counts, weights=as_weights(shadow)), 1.0)
    return ShadowDay(
        weight_set=shadow,
        against=active,
        day=now.date(),
        customers=len(sample),
        mean_active=float(given.mean()),
        mean_shadow=float(other.mean()),
        mean_difference=float(np.abs(other - given).mean()),
        rank_correlation=rank_correlation(given, other),
        observed_at=now,
    )
