"""Registered features as `GET definitions/` answers them."""

from collections.abc import Container

from features.api.answers import RegisteredFeature, Window
from features.formulas.windowed import HOURS_PER_DAY
from features.lifecycle.drafts import version_key
from features.models import FeatureDefinition, FeatureVersion
from features.models.versions import READABLE_STATES
from features.monitoring.coverage import Coverages
from features.registry.window_text import window_text

DATED_STATES = (*READABLE_STATES, FeatureVersion.State.RETIRED)


def described_definition(definition: FeatureDefinition, *, coverages: Coverages) -> RegisteredFeature:
    """Return a registered feature with its measured coverage."""
    measured = coverages.of(definition.name)
    return RegisteredFeature(
        name=definition.name,
        feature_type=definition.feature_type,
        description=definition.description,
        owner=definition.owner,
        unit=definition.unit,
        default=definition.default,
        minimum=definition.minimum,
        maximum=definition.maximum,
        tags=definition.tags,
        versions=sorted(version_numbers(definition, states=READABLE_STATES), key=version_key),
        since_version=min(version_numbers(definition, states=DATED_STATES), key=version_key, default=None),
        window=window_of(definition),
        expression=definition.expression or None,
        coverage=measured.share,
        median_age_seconds=measured.median_age_seconds,
    )


def window_of(definition: FeatureDefinition) -> Window | None:
    """Return the window of a windowed feature, None of another one."""
    hours = definition.window_hours
    if hours is None:
        return None
    return Window(
        kind=definition.kind,
        event_type=definition.event_type or None,
        category=definition.category,
        metadata_key=definition.metadata_key or None,
        length=window_text(hours),
        days=None if hours % HOURS_PER_DAY else hours // HOURS_PER_DAY,
        half_life_days=definition.half_life_days,
    )


def version_numbers(definition: FeatureDefinition, *, states: Container[str]) -> list[str]:
    """Return the numbers of the versions in these states that have the feature."""
    return [version.number for version in definition.versions.all() if version.state in states]
