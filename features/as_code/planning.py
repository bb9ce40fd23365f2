"""Compare a definitions file with what is registered: the changes that would make it so, in the order of the steps."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import msgspec

from featurehub.lib.humanize import listed
from features.as_code import steps
from features.as_code.changes import MakingStep, Outcome, PlannedChange
from features.as_code.contents import definition_entry, definition_of, weights_of_entry
from features.as_code.parsing import ParsedFile
from features.as_code.shapes import KEY_OF_FIELD, DefinitionEntry, DefinitionsFile, Entry, VersionEntry, as_plain
from features.formulas.behavioral import Weights
from features.lifecycle.definitions import MEANING
from features.lifecycle.drafts import version_key
from features.lifecycle.steps import VersionState
from features.models import READABLE_STATES, WRITTEN_BY_CLIENTS, FeatureType, FeatureVersion, WeightSet
from features.registry.contents import parse_pin
from features.registry.weight_sets import as_weights

# Fields of a definition that readers and writers feel at once where a version that can be read has it.
FELT_AT_ONCE = ("default", "minimum", "maximum", "list_place")
MEANING_IN_FILE = tuple(KEY_OF_FIELD.get(field, field) for fields in MEANING.values() for field in fields)


class Planner:
    """Compares a parsed file with `here`, what is registered. All versions are locked until its changes are made."""

    def __init__(self, parsed: ParsedFile, *, here: DefinitionsFile) -> None:
        self.parsed, self.file, self.here = parsed, parsed.contents, here
        self.stored = {str(row): row for row in FeatureVersion.objects.all()}

    def changes(self) -> list[PlannedChange]:
        """Return the changes, each after those that it needs."""
        return [
            *self.of_section("event_types", "event type", self.event_type),
            *self.of_section("definitions", "definition", self.definition),
            *self.of_section("versions", "version", self.version, in_order=inputs_first),
            *self.of_section("sets", "feature set", self.feature_set),
            *self.of_section("weights", "weights of", self.weights),
        ]

    def of_section(
        self,
        section: str,
        called: str,
        changed: Callable[[str, PlannedChange], PlannedChange | None],
        *,
        in_order: Callable[[str], object] | None = None,
    ) -> Iterator[PlannedChange]:
        """Yield the changes of a section; `changed` completes the change of a member that is not the same here."""
        wanted: dict[str, Entry] = getattr(self.file, section)
        here: dict[str, Entry] = getattr(self.here, section)
        for key in sorted(wanted, key=in_order) if in_order else wanted:  # type: ignore[arg-type]
            if here.get(key) == wanted[key]:
                continue
            change = changed(
                key,
                PlannedChange(
                    outcome=Outcome.CHANGED if key in here else Outcome.MADE,
                    subject=f"{called} {key}",
                    line=self.parsed.document.line_of((section, key)),
                    before=as_plain(here[key]) if key in here else None,
                    after=as_plain(wanted[key]),
                ),
            )
            if change is not None:
                yield change

    # --- Event types ----------------------------------------------------------------------------------------------

    def event_type(self, name: str, change: PlannedChange) -> PlannedChange | None:
        entry, here = self.file.event_types[name], self.here.event_types.get(name)
        if here is None:
            return with_step(change, partial(steps.make_event_type, name, entry))
        if not entry.label and here == msgspec.structs.replace(entry, label=steps.label_of(name, entry)):
            return None
        outcome = Outcome.ARCHIVED if entry.archived and not here.archived else Outcome.CHANGED
        return with_step(change, partial(steps.change_event_type, name, entry, here), outcome=outcome)

    # --- Definitions ----------------------------------------------------------------------------------------------

    def definition(self, name: str, change: PlannedChange) -> PlannedChange | None:
        entry, here = normal_definition(name, self.file.definitions[name]), self.here.definitions.get(name)
        if entry == here:
            return None
        why = "" if here is None else self.why_definition_stays(name, entry, here)
        return change.refused(why) if why else with_step(change, partial(steps.store_entry, name, entry))

    def why_definition_stays(self, name: str, entry: DefinitionEntry, here: DefinitionEntry) -> str:
        """Return why the definition can't be changed to the file's, and what to do; empty where it can."""
        if entry.type != here.type:
            return f"{name} is a {here.type} feature here, for good: give the {entry.type} one another name."
        versions = list(FeatureVersion.objects.filter(definitions__name=name))
        started = [row for row in versions if row.state != VersionState.DRAFT]
        if started and differ(entry, here, MEANING_IN_FILE):
            fixed = f"{started[0]} is {started[0].state} and has it, so that what it means does not change"
            return f"{fixed}: give the other meaning another name."
        readable = [row for row in versions if row.state in READABLE_STATES]
        is_free = not versions and entry.type in WRITTEN_BY_CLIENTS
        if (readable or is_free) and differ(entry, here, FELT_AT_ONCE):
            where = f"{readable[0]} is {readable[0].state}" if readable else "clients can write it already"
            return f"It would take effect at once, as {where}: change it on its page in the admin, then apply the file."
        return ""

    # --- Versions -------------------------------------------------------------------------------------------------

    def version(self, pin: str, change: PlannedChange) -> PlannedChange | None:
        entry, here = normal_version(self.file.versions[pin]), self.here.versions.get(pin)
        if here is None:
            return with_step(change, partial(steps.make_version, pin, entry), note="It is made as a draft.")
        if entry == here:
            return None
        stored = self.stored[pin]
        if stored.state == VersionState.DRAFT:
            return with_step(change, partial(steps.fill_draft, stored.pk, entry))
        if can_gain_features(stored) and is_more_of(here, entry):
            added = sorted(set(entry.features) - set(here.features))
            note = f"{pin} is {stored.state}: clients can write {listed(added)} at once."
            return with_step(change, partial(steps.add_features, stored.pk, added), note=note)
        return change.refused(self.why_version_stays(stored, entry, here))

    def why_version_stays(self, stored: FeatureVersion, entry: VersionEntry, here: VersionEntry) -> str:
        """Return why a version past draft can't be changed to the file's, and what to do."""
        if msgspec.structs.replace(entry, time_to_live=here.time_to_live) == here and stored.state in READABLE_STATES:
            at_once = f"It would take effect at once, as {stored} is {stored.state}"
            return f"{at_once}: change it on its page in the admin, then apply the file."
        newest = max(
            version_key(parse_pin(pin)[1])[0]
            for pin in {**self.here.versions, **self.file.versions}
            if parse_pin(pin)[0] == stored.feature_type
        )
        other = f"{stored.feature_type}:{newest + 1}.0"
        if stored.state == VersionState.RETIRED:
            return f"{stored} is retired for good: write it as {other}."
        return f"{stored} is {stored.state}, so that its features and inputs do not change: write it as {other}."

    # --- Sets and weights -----------------------------------------------------------------------------------------

    def feature_set(self, pin: str, change: PlannedChange) -> PlannedChange | None:
        entry, here = self.file.sets[pin], self.here.sets.get(pin)
        if here is None:
            return with_step(change, partial(steps.make_set, pin, entry))
        if (entry.features, sorted(entry.versions)) == (here.features, here.versions):
            return None
        name = pin.partition(":")[0]
        named = [known.partition(":") for known in {**self.here.sets, **self.file.sets}]
        newest = max(int(number) for known, _, number in named if known == name)
        return change.refused(f"{pin} was made, and a set never changes: write it as {name}:{newest + 1}.")

    def weights(self, pin: str, change: PlannedChange) -> PlannedChange | None:
        entry, active = self.file.weights[pin], self.here.weights.get(pin)
        numbers = weights_of_entry(entry)
        if (active is not None and weights_of_entry(active) == numbers) or is_under_way(pin, numbers):
            return None
        note = "They are made as a draft set, which somebody activates in the admin."
        return with_step(change, partial(steps.draft_weights, pin, entry), outcome=Outcome.MADE, note=note)


def with_step(
    change: PlannedChange, step: MakingStep, *, outcome: Outcome | None = None, note: str = ""
) -> PlannedChange:
    """Return the change with the step that makes it so."""
    return replace(change, step=step, outcome=outcome or change.outcome, note=note)


def inputs_first(pin: str) -> tuple[bool, str, tuple[int, ...]]:
    """Return a sort key of versions: derived ones last, as they are computed from others, and smaller numbers first."""
    feature_type, number = parse_pin(pin)
    return feature_type == FeatureType.DERIVED, feature_type, version_key(number)


def differ(entry: DefinitionEntry, here: DefinitionEntry, fields: tuple[str, ...]) -> bool:
    return any(getattr(entry, field) != getattr(here, field) for field in fields)


def normal_definition(name: str, entry: DefinitionEntry) -> DefinitionEntry:
    """Return a definition's entry as it is exported: 24h is 1d."""
    return definition_entry(definition_of(name, entry))


def normal_version(entry: VersionEntry) -> VersionEntry:
    """Return a version's entry as it is exported: the order of features and inputs says nothing."""
    return msgspec.structs.replace(entry, features=sorted(entry.features), inputs=sorted(entry.inputs))


def can_gain_features(stored: FeatureVersion) -> bool:
    """Return whether the version takes further features in its state: those that clients write lose nobody a value."""
    return stored.feature_type in WRITTEN_BY_CLIENTS and stored.state != VersionState.RETIRED


def is_more_of(here: VersionEntry, entry: VersionEntry) -> bool:
    """Return whether the entry is what is here with further features."""
    return here == msgspec.structs.replace(entry, features=here.features) and set(here.features) < set(entry.features)


def is_under_way(pin: str, numbers: Weights) -> bool:
    """Return whether a set of the version with these numbers waits for somebody to activate it."""
    waiting = WeightSet.objects.filter(version__number=parse_pin(pin)[1], activated_at__isnull=True)
    return any(as_weights(row) == numbers for row in waiting.prefetch_related("weights"))
