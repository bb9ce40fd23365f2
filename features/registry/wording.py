"""Descriptions of features as sentences."""

from features.formulas.windowed import HOURS_PER_DAY
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
    decay = "" if definition.half_life_days is None else f", half-life {counted(definition.half_life_days, 'day')}"
    what = OF_KIND[definition.kind].format(key=definition.metadata_key)
    return f"{what} {events}{category} over {hours_in_words(definition.window_hours or 0)}{decay}"


def hours_in_words(hours: int) -> str:
    """Return "7 days" for whole days, else "6 hours"."""
    days, rest = divmod(hours, HOURS_PER_DAY)
    return counted(hours, "hour") if rest else counted(days, "day")


def counted(number: float, unit: str) -> str:
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"
