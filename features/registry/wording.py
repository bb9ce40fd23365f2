"""Descriptions of features as sentences."""

from features.models import FeatureDefinition
from features.models.definitions import WRITTEN_BY_CLIENTS

OF_KIND = {
    "count": "Number of",
    "sum": "Sum of {key} of",
    "mean": "Mean of {key} of",
    "max": "Largest {key} of",
    "last": "Last {key} of",
    "distinct": "Number of different values of {key} of",
}


def definition_in_words(definition: FeatureDefinition) -> str:
    """Return a description such as "Sum of amount of purchase events over 14 days, half-life 7 days"."""
    if definition.kind:
        return window_in_words(definition)
    if definition.expression:
        return f"Computed from other features: {definition.expression}"
    if definition.feature_type in WRITTEN_BY_CLIENTS:
        return "Written by clients."
    return "Computed by a formula of FeatureHub's own." if definition.feature_type == "behavioral" else "Not computed."


def window_in_words(definition: FeatureDefinition) -> str:
    """Return the events and the window that a windowed definition is computed from, as text."""
    events = f"{definition.event_type.replace('_', ' ')} events" if definition.event_type else "all events"
    category = "" if definition.category is None else f" in category {definition.category or '“”'}"
    days = definition.window_days
    decay = "" if definition.half_life_days is None else f", half-life {count_of_days(definition.half_life_days)}"
    what = OF_KIND[definition.kind].format(key=definition.metadata_key)
    return f"{what} {events}{category} over {count_of_days(days or 0)}{decay}"


def count_of_days(days: float) -> str:
    return f"{days:g} day" if days == 1 else f"{days:g} days"
