"""What is registered, held in memory: reads must not ask PostgreSQL what a name means."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet

from featurehub.snapshot import Snapshot
from features.models import FeatureDefinition, FeatureType, FeatureVersion

READABLE = (FeatureVersion.State.SHADOW, FeatureVersion.State.LIVE, FeatureVersion.State.DEPRECATED)


@dataclass(frozen=True, slots=True)
class Registry:
    """`types`: name → feature type. `live`: feature type → version. `readable`: every (type, version) to be read."""

    types: Mapping[str, str]
    bounds: Mapping[str, tuple[float | None, float | None]]
    live: Mapping[str, str]
    readable: frozenset[tuple[str, str]]


def load() -> Registry:
    """The registry as PostgreSQL has it now: two queries."""
    definitions = list(FeatureDefinition.objects.all())
    versions = list(FeatureVersion.objects.filter(state__in=READABLE))
    return Registry(
        types={definition.name: definition.feature_type for definition in definitions},
        bounds={definition.name: (definition.minimum, definition.maximum) for definition in definitions},
        live={version.feature_type: version.number for version in versions if version.state == "live"},
        readable=frozenset((version.feature_type, version.number) for version in versions),
    )


registry = Snapshot(load, seconds=settings.SNAPSHOT_SECONDS)

# The types whose values clients write; the others are computed.
WRITTEN_BY_CLIENTS = (FeatureType.CUSTOMER, FeatureType.CONTEXTUAL)


def definitions() -> QuerySet[FeatureDefinition]:
    """Every definition with the versions it is in."""
    return FeatureDefinition.objects.prefetch_related("versions")
