"""The page of one customer: current values, the explanation of the score, and its history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from events.models import Event
from featurehub.admin.chart import Chart
from featurehub.lib.redis_away import REDIS_AWAY
from features.admin.customers.charts import CAP, ScorePoint, contributions_chart, score_chart
from features.admin.customers.why import why_context
from features.models import Customer, FeatureDefinition, FeatureType, WeightSet
from features.offline.history import rows_holding
from features.online import store
from features.online.layout import key_of
from features.registry.snapshot import registry_snapshot
from features.registry.wording import definition_in_words
from features.serving.explanation import SCORE, explain, under_drafts
from features.serving.feature_store import get_feature_values
from features.serving.render import Values

SCORES_SHOWN = 200
EVENTS_SHOWN = 20
# Feature types in the order of the page; a type without definitions is left out.
TYPES_SHOWN = (FeatureType.BEHAVIORAL, FeatureType.DERIVED, FeatureType.CUSTOMER, FeatureType.CONTEXTUAL)
MISSING_IN_WORDS = {"no_value": "no value yet", "expired": "expired", "unknown": "not registered"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A value and its meaning; `missing` is the reason where there is no value, else empty."""

    definition: FeatureDefinition
    meaning: str
    value: float
    missing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGroup:
    """The features of one type; `as_of` is the moment at which they hold."""

    feature_type: str
    version: str
    as_of: datetime | None
    source: str
    features: Sequence[Feature]

    @property
    def is_all_zero(self) -> bool:
        return not any(feature.value for feature in self.features)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """The customer's key in Redis before this page reads it; `seconds_left` is None where there is no hash."""

    key: str
    is_away: bool
    seconds_left: float | None


def cached(customer_id: str) -> Cached:
    key = key_of(customer_id)
    try:
        return Cached(key=key, is_away=False, seconds_left=store.seconds_left(customer_id))
    except REDIS_AWAY:
        return Cached(key=key, is_away=True, seconds_left=None)


def feature_groups(customer_id: str) -> list[FeatureGroup]:
    """Return the live values by type, read as clients read them."""
    known = registry_snapshot.get()
    definitions = FeatureDefinition.objects.in_bulk(field_name="name")
    found = []
    for feature_type in TYPES_SHOWN:
        names = known.live_view(feature_type).names if feature_type in known.live else ()
        rows = [definitions[name] for name in names if name in definitions]
        if rows:
            values = get_feature_values([customer_id], names=[row.name for row in rows])[0]
            found.append(group(rows, values=values, feature_type=feature_type, version=known.live[feature_type]))
    return found


def group(
    rows: Sequence[FeatureDefinition], *, values: Values, feature_type: FeatureType, version: str
) -> FeatureGroup:
    return FeatureGroup(
        feature_type=feature_type.label,
        version=version,
        as_of=values.computed_at,
        source=values.source,
        features=[
            Feature(
                definition=row,
                meaning=row.description or definition_in_words(row),
                value=values.features[row.name],
                missing=MISSING_IN_WORDS.get(reason, reason) if (reason := values.missing.get(row.name)) else "",
            )
            for row in rows
        ],
    )


def recorded_scores(customer_id: str) -> list[ScorePoint]:
    """Return the newest SCORES_SHOWN scores, newest first."""
    version = registry_snapshot.get().live.get(FeatureType.BEHAVIORAL, "")
    rows = rows_holding(
        customer_id, name=SCORE, feature_type=FeatureType.BEHAVIORAL, version=version, since=None, until=None
    )
    values = rows.values_list("timestamp", f"features__{SCORE}", "metadata__weight_set")[:SCORES_SHOWN]
    return [ScorePoint(moment=moment, value=value, weight_set=weight_set) for moment, value, weight_set in values]


def parts_of_the_score(explanation: dict[str, Any]) -> Chart | None:
    """Return the chart of the explanation; None for a customer without any contribution."""
    if not any(row["contribution"] for row in explanation["contributions"]):
        return None
    return contributions_chart(explanation["contributions"], score=explanation[SCORE])


def customer_context(customer: Customer, query: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return the context of the page. The state of Redis is taken first, because the reads refill it.

    `query` is that of the address: the two moments of "Why it changed".
    """
    customer_id = customer.pk
    state = cached(customer_id)
    explanation = explain(customer_id)
    points = recorded_scores(customer_id)
    return {
        "customer": customer,
        "cached": state,
        "window_days": settings.WINDOW_DAYS,
        "explanation": explanation,
        "weight_set": WeightSet.objects.filter(pk=explanation["weight_set"]).first(),
        "score": explanation[SCORE],
        "parts": parts_of_the_score(explanation),
        "is_capped": explanation["unclamped_score"] > CAP,
        "under_drafts": under_drafts(customer_id),
        "scores": score_chart(points[::-1], until=now),
        "points": points,
        "groups": feature_groups(customer_id),
        "recent_events": Event.objects.filter(customer_id=customer_id).order_by("-timestamp")[:EVENTS_SHOWN],
        "now": now,
        **why_context(customer_id, query, now=now),
    }
