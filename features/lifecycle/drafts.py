"""Drafts of versions: copied from another version, then changed until they are put into shadow."""

import re
from collections.abc import Collection, Mapping

from django.db import transaction

from featurehub.lib.errors import ConflictError, InvalidError, UnknownError
from featurehub.lib.humanize import listed
from features.lifecycle.shown import Shown
from features.lifecycle.steps import (
    Actor,
    VersionState,
    check_reason,
    claim_shown_version,
    claim_version,
    lock_versions,
    record,
)
from features.models import FeatureDefinition, FeatureSet, FeatureType, FeatureVersion
from features.models.definitions import WRITTEN_BY_CLIENTS

NUMBER = re.compile(r"\d+(\.\d+)*", re.ASCII)
MOST_CHARACTERS = 16
# Seconds.
LONGEST_TIME_TO_LIVE = 366 * 86_400
BEFORE_RETIREMENT = (VersionState.DRAFT, VersionState.SHADOW, VersionState.LIVE, VersionState.DEPRECATED)


def draft_version(
    feature_type: str, number: str, *, based_on: str | None = None, by: Actor, reason: str
) -> FeatureVersion:
    """Create a draft with the definitions and the time to live of the live version, or of the one numbered `based_on`.

    A derived draft takes its inputs from the versions that are live now. Raises InvalidError for a number that is not
    greater than all others of the type, UnknownError for a version that does not exist.
    """
    check_reason(reason, kept_with="version")
    with transaction.atomic():
        lock_versions()
        of_type = FeatureVersion.objects.filter(feature_type=feature_type)
        check_version_number(number, feature_type=feature_type, others=list(of_type.values_list("number", flat=True)))
        model = of_type.filter(state=VersionState.LIVE) if based_on is None else of_type.filter(number=based_on)
        original = model.first()
        if original is None:
            raise UnknownError(f"There is no version {feature_type}:{based_on or 'live'}.", attr="based_on")
        version = FeatureVersion.objects.create(
            feature_type=feature_type,
            number=number,
            time_to_live=original.time_to_live,
            inputs=live_inputs() if feature_type == FeatureType.DERIVED else {},
        )
        version.definitions.set(original.definitions.all())
        record(version, by=by, reason=f"From {original}. {reason}")
    return version


def check_version_number(number: str, *, feature_type: str, others: Collection[str]) -> None:
    """Raise InvalidError unless `number` has the form of a version number and is greater than the others."""
    if not NUMBER.fullmatch(number) or len(number) > MOST_CHARACTERS:
        raise InvalidError("A version looks like 1.0: digits and dots, at most 16 characters.", attr="number")
    newest = max(others, key=version_key, default=None)
    if newest is not None and version_key(number) <= version_key(newest):
        raise InvalidError(f"The newest version is {feature_type}:{newest}: choose a greater number.", attr="number")


def version_key(number: str) -> tuple[int, ...]:
    """Return a sort key for a version number: 2 equals 2.0, and 1.10 comes after 1.9."""
    return tuple(int(part) for part in re.sub(r"(\.0+)+$", "", number).split("."))


def next_number(feature_type: str) -> str:
    """Return the number proposed for the next version of a type."""
    numbers = FeatureVersion.objects.filter(feature_type=feature_type).values_list("number", flat=True)
    newest = max(numbers, key=version_key, default="0")
    return f"{version_key(newest)[0] + 1}.0"


def live_inputs() -> dict[str, str]:
    """Return the inputs of a new derived version: feature type → number of its live version."""
    live = FeatureVersion.objects.filter(state=VersionState.LIVE).exclude(feature_type=FeatureType.DERIVED)
    return dict(live.order_by("feature_type").values_list("feature_type", "number"))


def add_definitions(version_id: int, definitions: Collection[FeatureDefinition], *, by: Actor) -> None:
    """Add features to a draft or, of a type that clients write, to any version that is not retired.

    Raises ConflictError for a version that can't change any more, InvalidError for a feature of another type.
    """
    names = ", ".join(definition.name for definition in definitions)
    with transaction.atomic():
        version = claim_version(version_id, allowed=BEFORE_RETIREMENT, reason=f"Added {names}.")
        if version.state != VersionState.DRAFT and version.feature_type not in WRITTEN_BY_CLIENTS:
            raise ConflictError(f"{version} is {version.state}: features are added to drafts only. Start a new draft.")
        for definition in definitions:
            if definition.feature_type != version.feature_type:
                raise InvalidError(f"{definition} is a {definition.feature_type} feature: it can't be in {version}.")
        version.definitions.add(*definitions)
        record(version, by=by, reason=f"Added {names}.")


def remove_definition(version_id: int, definition: FeatureDefinition, *, by: Actor) -> None:
    """Remove a feature from a draft."""
    with transaction.atomic():
        version = claim_version(version_id, allowed=(VersionState.DRAFT,), reason=f"Removed {definition}.")
        check_no_set_takes(version, names=[definition.name])
        version.definitions.remove(definition)
        record(version, by=by, reason=f"Removed {definition}.")


def set_definitions(version_id: int, definitions: Collection[FeatureDefinition], *, by: Actor, reason: str) -> None:
    """Give a draft exactly these features.

    Raises InvalidError for a feature of another type, ConflictError for a version in another state and where a feature
    set takes one that would be left out.
    """
    with transaction.atomic():
        version = claim_version(version_id, allowed=(VersionState.DRAFT,), reason=reason)
        for definition in definitions:
            if definition.feature_type != version.feature_type:
                raise InvalidError(f"{definition} is a {definition.feature_type} feature: it can't be in {version}.")
        before, after = set(version.definitions.all()), set(definitions)
        check_no_set_takes(version, names=[definition.name for definition in before - after])
        version.definitions.set(definitions)
        parts = {"Added": after - before, "Removed": before - after}
        changed = [f"{verb} {', '.join(sorted(row.name for row in rows))}." for verb, rows in parts.items() if rows]
        record(version, by=by, reason=" ".join([*changed, reason]))


def check_no_set_takes(version: FeatureVersion, *, names: Collection[str]) -> None:
    """Raise ConflictError where a feature set that pins the draft takes one of these features of it.

    A set never changes, so what it takes of a draft stays there.
    """
    pinning = FeatureSet.objects.filter(versions__contains={version.feature_type: version.number})
    found = pinning.filter(names__overlap=list(names)).first()
    if found is not None:
        taken = listed([name for name in names if name in found.names])
        raise ConflictError(f"The feature set {found} takes {taken} of {version}, and a set never changes: it stays.")


def set_inputs(
    version_id: int, inputs: Mapping[str, str], *, by: Actor, reason: str, shown: Shown | None = None
) -> None:
    """Set the versions that a derived draft is computed from: feature type → number."""
    with transaction.atomic():
        version = claim_shown_version(version_id, allowed=(VersionState.DRAFT,), reason=reason, by=by, shown=shown)
        if version.feature_type != FeatureType.DERIVED:
            raise InvalidError(f"{version} is computed from no other version.", attr="inputs")
        for feature_type, number in inputs.items():
            there = FeatureVersion.objects.filter(feature_type=feature_type, number=number)
            if feature_type == FeatureType.DERIVED or not there.exists():
                raise InvalidError(f"{feature_type}:{number} can't be an input.", attr="inputs")
        FeatureVersion.objects.filter(pk=version.pk).update(inputs=dict(inputs))
        named = ", ".join(f"{feature_type}:{number}" for feature_type, number in inputs.items())
        record(version, by=by, reason=f"Computed from {named}. {reason}")


def set_time_to_live(
    version_id: int, seconds: int | None, *, by: Actor, reason: str, shown: Shown | None = None
) -> None:
    """Set after how many seconds values are read as expired; None: never."""
    if seconds is not None and not 1 <= seconds <= LONGEST_TIME_TO_LIVE:
        raise InvalidError("It is between 1 second and 366 days, or left out.", attr="time_to_live")
    with transaction.atomic():
        version = claim_shown_version(version_id, allowed=BEFORE_RETIREMENT, reason=reason, by=by, shown=shown)
        FeatureVersion.objects.filter(pk=version.pk).update(time_to_live=seconds)
        lifetime = "never expire" if seconds is None else f"expire after {seconds:,} s"
        record(version, by=by, reason=f"Values {lifetime}. {reason}")


def discard(version_id: int, *, by: Actor, reason: str, shown: Shown | None = None) -> None:
    """Delete a draft. Raise ConflictError for a version in another state, and for one that a feature set pins."""
    with transaction.atomic():
        version = claim_shown_version(version_id, allowed=(VersionState.DRAFT,), reason=reason, by=by, shown=shown)
        check_no_set_takes(version, names=list(version.definitions.values_list("name", flat=True)))
        version.delete()
