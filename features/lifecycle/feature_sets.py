"""Feature sets: made from names and versions that can be read, numbered by themselves, and never changed."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction

from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import listed
from featurehub.lib.suggestions import did_you_mean
from features.lifecycle.steps import Actor, VersionState, lock_versions
from features.models import READABLE_STATES, FeatureDefinition, FeatureSet, FeatureVersion
from features.models.feature_sets import MOST_NAMES, SET_NAME, SET_NAME_RULE
from features.registry.contents import parse_pin, pinned_views
from features.registry.snapshot import load_registry, registry_snapshot

LONGEST_REASON = 2_000
# A wrong name is repeated up to this length.
LONGEST_WRONG_NAME = 64
WHY_UNREADABLE = {
    VersionState.DRAFT: "is a draft: put it into shadow first",
    VersionState.RETIRED: "is retired, so that nobody can read it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSet:
    """A feature set, and whether it was made now: a set that equals the newest of its name is that one."""

    feature_set: FeatureSet
    is_new: bool


def make_feature_set(
    name: str,
    *,
    names: Sequence[str],
    versions: Sequence[str] = (),
    by: Actor = None,
    reason: str = "",
    key_id: int | None = None,
) -> MadeSet:
    """Make the next set of a name: these features, in this order, pinned to `versions` and else to those live now.

    `key_id` is the API key that asks for it. A set that equals the newest one of its name is not made again. This
    process knows the set as soon as the transaction is committed, the others within SNAPSHOT_SECONDS. Raises
    InvalidError for a name of another form, and for features and versions that can't be read together.
    """
    if not re.fullmatch(SET_NAME, name, re.ASCII):
        raise InvalidError(SET_NAME_RULE, attr="name")
    check_names(names)
    if "\0" in reason:
        raise InvalidError("A reason is text, without the character NUL.", attr="reason")
    with transaction.atomic():
        lock_versions()
        numbers = pins_of_names(names, versions=versions)
        newest = FeatureSet.objects.filter(name=name).order_by("-number").first()
        if newest is not None and (newest.names, newest.versions) == (list(names), numbers):
            return MadeSet(feature_set=newest, is_new=False)
        made = FeatureSet.objects.create(
            name=name,
            number=1 if newest is None else newest.number + 1,
            names=list(names),
            versions=numbers,
            made_by=by,
            made_with_id=key_id,
            reason=reason,
        )
        made.refresh_from_db()
        transaction.on_commit(registry_snapshot.forget)
    return MadeSet(feature_set=made, is_new=True)


def make_numbered_set(
    name: str, number: int, *, names: Sequence[str], versions: Sequence[str], by: Actor, reason: str
) -> FeatureSet:
    """Make the set of a name with this number, pinned to a version of each type: one of a file of definitions.

    A version may still be a draft: then the set can be read once that is in shadow, and until then the draft keeps the
    set's features. Raises InvalidError for features that are not in the versions, and for retired versions.
    """
    check_names(names)
    with transaction.atomic():
        lock_versions()
        numbers = numbers_of_pins(names, versions=versions)
        made = FeatureSet.objects.create(
            name=name, number=number, names=list(names), versions=numbers, made_by=by, reason=reason
        )
        transaction.on_commit(registry_snapshot.forget)
    return made


def numbers_of_pins(names: Sequence[str], *, versions: Sequence[str]) -> dict[str, str]:
    """Return feature type → number of the pins, one for each type of the names; drafts may be among them.

    Raises InvalidError where that is not so, or a name is not in the version of its type.
    """
    check_features_exist(names, registered=FeatureDefinition.objects.values_list("name", flat=True))
    rows = list(FeatureDefinition.objects.filter(name__in=names).prefetch_related("versions"))
    numbers = dict(map(parse_pin, versions))
    types = {row.feature_type for row in rows}
    if len(numbers) < len(versions) or types != numbers.keys():
        detail = f"A set pins one version of each type of its features: {listed(sorted(types))}."
        raise InvalidError(detail, attr="version")
    usable = FeatureVersion.objects.exclude(state=VersionState.RETIRED)
    there = {str(row) for row in usable}
    gone = [pin for pin in versions if pin not in there]
    if gone:
        raise InvalidError(f"There is no version {listed(gone)}, or it is retired.", attr="version")
    for row in rows:
        check_is_in(numbers[row.feature_type], definition=row)
    return numbers


def check_names(names: Sequence[str]) -> None:
    """Raise InvalidError for no names, too many, and one that is there twice."""
    if not 1 <= len(names) <= MOST_NAMES:
        raise InvalidError(f"A set has 1 to {MOST_NAMES} features, not {len(names):,}.", attr="names")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InvalidError(f"{listed(twice)} {'is' if len(twice) == 1 else 'are'} there more than once.", attr="names")


def pins_of_names(names: Sequence[str], *, versions: Sequence[str]) -> dict[str, str]:
    """Return feature type → number of the version that the names of the type are pinned to.

    Raises InvalidError for a name that is not in it, a version that can't be read, and one of no name in the set.
    """
    check_can_be_read(versions)
    known = load_registry()
    pinned = pinned_views(versions, known=known)
    check_features_exist(names, registered=known.definitions)
    types = sorted({known.definitions[name].feature_type for name in names})
    unused = [f"{feature_type}:{view.number}" for feature_type, view in pinned.items() if feature_type not in types]
    if unused:
        detail = f"The set has no feature of {listed(unused)}: leave that out, or add one."
        raise InvalidError(detail, attr="version")
    numbers = {
        feature_type: pinned[feature_type].number if feature_type in pinned else known.live[feature_type]
        for feature_type in types
    }
    for row in FeatureDefinition.objects.filter(name__in=names).prefetch_related("versions"):
        check_is_in(numbers[row.feature_type], definition=row)
    return numbers


def check_can_be_read(versions: Iterable[str]) -> None:
    """Raise InvalidError for a version that is not readable yet or any more. Of others, the registry knows."""
    states = {(row.feature_type, row.number): VersionState(row.state) for row in FeatureVersion.objects.all()}
    for feature_type, number in map(parse_pin, versions):
        state = states.get((feature_type, number))
        if state in WHY_UNREADABLE:
            raise InvalidError(f"{feature_type}:{number} {WHY_UNREADABLE[state]}.", attr="version")


def check_features_exist(names: Iterable[str], *, registered: Collection[str]) -> None:
    """Raise InvalidError for a name that is no feature; it says the nearest one."""
    unknown = next((name for name in names if name not in registered), None)
    if unknown is not None:
        wrong = unknown[:LONGEST_WRONG_NAME]
        raise InvalidError(f"There is no feature {wrong}.{did_you_mean(wrong, registered)}", attr="names")


def check_is_in(number: str, *, definition: FeatureDefinition) -> None:
    """Raise InvalidError unless the definition is in the version of its type with this number; it says where it is."""
    there = list(definition.versions.all())
    if any(row.number == number for row in there):
        return
    readable = [str(row) for row in there if row.state in READABLE_STATES]
    if readable:
        where = f"it is in {listed(readable)}: give that as a version"
    elif there:
        where = f"it is in {there[0]} only, which {WHY_UNREADABLE[VersionState(there[0].state)]}"
    else:
        where = "it is in no version: add it to one first"
    detail = f"{definition} is not in {definition.feature_type}:{number}, to which it would be pinned; {where}."
    raise InvalidError(detail, attr="names")
