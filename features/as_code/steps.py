"""Make the members of a definitions file so, by the services that the admin's pages call too."""

from collections.abc import Sequence

from events.registered_types import words_of
from events.registration import archive_event_type, describe_event_type, register_event_type, restore_event_type
from featurehub.lib.errors import InvalidError
from features.as_code.changes import Applied
from features.as_code.contents import definition_of, version_entry, weights_of_entry
from features.as_code.shapes import DefinitionEntry, EventTypeEntry, FeatureSetEntry, VersionEntry, WeightsEntry
from features.lifecycle import drafts
from features.lifecycle.definitions import store_definition
from features.lifecycle.feature_sets import make_numbered_set
from features.lifecycle.shown import shown_of
from features.lifecycle.weight_set_steps import draft_weight_set
from features.models import FeatureDefinition, FeatureVersion
from features.registry.contents import parse_pin


def label_of(name: str, entry: EventTypeEntry) -> str:
    """Return the label of an event type, which is the name in words where the entry has none."""
    return entry.label or words_of(name)


def make_event_type(name: str, entry: EventTypeEntry, applied: Applied) -> None:
    """Register an event type, archived where the entry says so."""
    register_event_type(name, label=entry.label, description=entry.description)
    if entry.archived:
        archive_event_type(name)


def change_event_type(name: str, entry: EventTypeEntry, here: EventTypeEntry, applied: Applied) -> None:
    """Describe an event type anew, and archive or restore it where that differs."""
    describe_event_type(name, label=entry.label, description=entry.description)
    if entry.archived != here.archived:
        (archive_event_type if entry.archived else restore_event_type)(name)


def store_entry(name: str, entry: DefinitionEntry, applied: Applied) -> None:
    """Store a definition, new or changed."""
    store_definition(definition_of(name, entry))


def make_version(pin: str, entry: VersionEntry, applied: Applied) -> None:
    """Draft a version with the features, inputs and time to live of the entry."""
    feature_type, number = parse_pin(pin)
    version = drafts.draft_version(feature_type, number, by=applied.by, reason=applied.reason)
    fill_draft(version.pk, entry, applied)


def fill_draft(version_id: int, entry: VersionEntry, applied: Applied) -> None:
    """Give a draft the features, inputs and time to live of the entry; a step is recorded for each that differs."""
    version = FeatureVersion.objects.get(pk=version_id)
    here = version_entry(version)
    if here.features != entry.features:
        drafts.set_definitions(version_id, named(entry.features), by=applied.by, reason=applied.reason)
    if here.inputs != entry.inputs:
        inputs = dict(map(parse_pin, entry.inputs))
        drafts.set_inputs(version_id, inputs, by=applied.by, reason=applied.reason, shown=shown_of(version))
    if here.time_to_live != entry.time_to_live:
        shown = shown_of(FeatureVersion.objects.get(pk=version_id))
        drafts.set_time_to_live(version_id, entry.time_to_live, by=applied.by, reason=applied.reason, shown=shown)


def add_features(version_id: int, names: Sequence[str], applied: Applied) -> None:
    """Add features that clients write to a version."""
    drafts.add_definitions(version_id, named(names), by=applied.by)


def named(names: Sequence[str]) -> list[FeatureDefinition]:
    """Return the definitions of these names. Raise InvalidError for one that is not there."""
    rows = {row.name: row for row in FeatureDefinition.objects.filter(name__in=names)}
    missing = [name for name in names if name not in rows]
    if missing:
        raise InvalidError(f"The definition {missing[0]} is not there: it was refused, or deleted meanwhile.")
    return [rows[name] for name in names]


def make_set(pin: str, entry: FeatureSetEntry, applied: Applied) -> None:
    """Make a feature set with the number of the file."""
    name, _, number = pin.partition(":")
    make_numbered_set(
        name, int(number), names=entry.features, versions=entry.versions, by=applied.by, reason=entry.reason
    )


def draft_weights(pin: str, entry: WeightsEntry, applied: Applied) -> None:
    """Draft a weight set with the numbers of the entry."""
    draft_weight_set(
        version=parse_pin(pin)[1],
        name=entry.name,
        reason=entry.reason or applied.reason,
        numbers=weights_of_entry(entry),
        by=applied.by,
    )
