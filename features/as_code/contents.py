"""The contents of a definitions file as they are in PostgreSQL, to be exported and to be compared with a file."""

from collections.abc import Iterable, Mapping

import msgspec

from events.event_types import EVENT_TYPES
from events.models import EventType
from featurehub.files.yaml_files import yaml_text
from features.as_code.shapes import (
    SECTIONS,
    DefinitionEntry,
    DefinitionsFile,
    EventTypeEntry,
    FeatureSetEntry,
    NumbersEntry,
    VersionEntry,
    WeightsEntry,
    as_plain,
)
from features.formulas.behavioral import NO_WEIGHT, USUAL_NORM, Weights
from features.lifecycle.drafts import version_key
from features.models import FeatureDefinition, FeatureSet, FeatureVersion, WeightSet
from features.registry.weight_sets import active_sets, as_weights
from features.registry.window_text import parse_window, window_text

RETIRED = FeatureVersion.State.RETIRED
# Fields of a definition that the file has just so; the others have another name or form there.
AS_STORED = tuple(
    field for field in DefinitionEntry.__struct_fields__ if field not in ("type", "tags", "kind", "window")
)
HEADER = """\
# FeatureHub's definitions, made by: manage.py export_definitions
# To have them in another FeatureHub: manage.py plan_definitions FILE, then manage.py apply_definitions FILE.
"""


def exported_text() -> str:
    """Return what can be exported as the text of a definitions file; equal contents give equal texts."""
    contents = exported(stored_contents())
    sections = {name: {key: as_plain(row) for key, row in getattr(contents, name).items()} for name in SECTIONS}
    return HEADER + yaml_text({"featurehub": contents.featurehub, **sections})


def stored_contents() -> DefinitionsFile:
    """Return all that is registered, also what nobody can read any more."""
    versions = sorted(
        FeatureVersion.objects.prefetch_related("definitions"),
        key=lambda row: (row.feature_type, version_key(row.number)),
    )
    return DefinitionsFile(
        event_types={row.name: event_type_entry(row) for row in EventType.objects.order_by("id")},
        definitions={
            row.name: definition_entry(row)
            for row in sorted(FeatureDefinition.objects.all(), key=lambda row: (row.feature_type, row.name))
        },
        versions={str(row): version_entry(row) for row in versions},
        sets={
            str(row): set_entry(row) for row in sorted(FeatureSet.objects.all(), key=lambda row: (row.name, row.number))
        },
        weights={
            f"behavioral:{number}": weights_entry(row)
            for number, row in sorted(active_sets().items(), key=lambda found: version_key(found[0]))
        },
    )


def exported(contents: DefinitionsFile) -> DefinitionsFile:
    """Return the contents without retired versions, and without what belongs to retired versions only."""
    retired = {str(row) for row in FeatureVersion.objects.filter(state=RETIRED)}
    kept = {pin: entry for pin, entry in contents.versions.items() if pin not in retired}
    used = {name for entry in kept.values() for name in entry.features}
    gone = {name for pin in retired for name in contents.versions[pin].features} - used
    return msgspec.structs.replace(
        contents,
        definitions={name: entry for name, entry in contents.definitions.items() if name not in gone},
        versions=kept,
        sets={pin: entry for pin, entry in contents.sets.items() if retired.isdisjoint(entry.versions)},
        weights={pin: entry for pin, entry in contents.weights.items() if pin not in retired},
    )


# --- Entries ------------------------------------------------------------------------------------------------------


def event_type_entry(row: EventType) -> EventTypeEntry:
    return EventTypeEntry(label=row.label, description=row.description, archived=row.archived_at is not None)


def definition_entry(row: FeatureDefinition) -> DefinitionEntry:
    return DefinitionEntry(
        type=row.feature_type,  # type: ignore[arg-type]
        tags=[str(tag) for tag in row.tags],
        kind=row.kind or None,  # type: ignore[arg-type]
        window=None if row.window_hours is None else window_text(row.window_hours),
        **{field: getattr(row, field) for field in AS_STORED},
    )


def definition_of(name: str, entry: DefinitionEntry) -> FeatureDefinition:
    """Return the entry as an unsaved definition. Raise InvalidError for a window that is none."""
    return FeatureDefinition(
        name=name,
        feature_type=entry.type,
        tags=entry.tags,
        kind=entry.kind or "",
        window_hours=None if entry.window is None else parse_window(entry.window),
        **{field: getattr(entry, field) for field in AS_STORED},
    )


def version_entry(row: FeatureVersion) -> VersionEntry:
    return VersionEntry(
        features=sorted(definition.name for definition in row.definitions.all()),
        inputs=pins_of(row.inputs),
        time_to_live=row.time_to_live,
    )


def pins_of(numbers: Mapping[str, str]) -> list[str]:
    """Return feature type → number as pins: `behavioral:1.0`."""
    return [f"{feature_type}:{number}" for feature_type, number in sorted(numbers.items())]


def set_entry(row: FeatureSet) -> FeatureSetEntry:
    return FeatureSetEntry(features=row.names, versions=row.pins, reason=row.reason)


def weights_entry(row: WeightSet) -> WeightsEntry:
    numbers = as_weights(row)
    return WeightsEntry(
        name=row.name,
        reason=row.reason,
        monetary_norm=numbers.monetary_norm,
        event_types=numbers_entries(numbers, types=numbers.weight),
    )


def weights_of_entry(entry: WeightsEntry) -> Weights:
    """Return the numbers as `as_weights` returns those of a stored set, so that equal ones are equal."""
    given = {name: row for name, row in entry.event_types.items() if (row.weight, row.norm) != (NO_WEIGHT, USUAL_NORM)}
    names = [*EVENT_TYPES, *(name for name in given if name not in EVENT_TYPES)]
    return Weights(
        weight={name: given[name].weight if name in given else NO_WEIGHT for name in names},
        norm={name: given[name].norm if name in given else USUAL_NORM for name in names},
        monetary_norm=entry.monetary_norm,
    )


def numbers_entries(numbers: Weights, *, types: Iterable[str]) -> dict[str, NumbersEntry]:
    return {name: NumbersEntry(weight=numbers.weight_of(name), norm=numbers.norm_of(name)) for name in types}
