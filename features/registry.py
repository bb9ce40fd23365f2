"""What is registered, held in memory: reads must not ask PostgreSQL what a name means."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet

from featurehub.errors import InvalidError, UnknownError
from featurehub.snapshot import Snapshot
from features.models import FeatureDefinition, FeatureType, FeatureVersion

READABLE = (FeatureVersion.State.SHADOW, FeatureVersion.State.LIVE, FeatureVersion.State.DEPRECATED)


@dataclass(frozen=True, slots=True, eq=False)
class Registry:
    """`types`: name → feature type. `live`: feature type → version. `readable`: every (type, version) to be read.

    Each load is one of its own, equal to no other, so that what was derived from it can be kept by it.
    """

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


def versions_of(feature_types: Iterable[str], *, pins: Sequence[str], known: Registry) -> dict[str, str]:
    """The version to read of each type: the live one, or the one pinned (`behavioral:1.0`; a bare `1.0` is behavioral).

    Raises UnknownError for a version that can't be read, InvalidError for two versions of one type.
    """
    pinned: dict[str, str] = {}
    for text in pins:
        feature_type, separator, number = text.partition(":")
        if not separator:
            feature_type, number = FeatureType.BEHAVIORAL.value, text
        if (feature_type, number) not in known.readable:
            raise UnknownError(f"There is no readable version {text}.", attr="version")
        if pinned.setdefault(feature_type, number) != number:
            raise InvalidError(f"Two versions of {feature_type} are asked for.", attr="version")
    live = {name: known.live[name] for name in feature_types if name in known.live}
    return {name: pinned.get(name, number) for name, number in live.items()}
