"""Feature sets by their written form, `churn_model:3`: for readers from memory, for lists from PostgreSQL."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, Self

from featurehub.lib.errors import InvalidError, UnknownError
from featurehub.lib.humanize import listed
from features.models import READABLE_STATES, FeatureSet, FeatureVersion
from features.models.feature_sets import SET_NAME
from features.registry.contents import PinnedNames, Registry, parse_pin

WRITTEN_SET = re.compile(r"([a-z][a-z0-9_]{0,63}):([1-9][0-9]{0,8})", re.ASCII)
SET_EXAMPLE = "churn_model:3"
NUMBERS_NAMED = 5
SET_OR_NAMES = "A feature set has names and versions of its own: give either a set, or names and versions."


class Selection(NamedTuple):
    """The features that a reader asks for: `names`, None for all, of the versions that `pins` names or the live ones.

    With a `feature_set` (`churn_model:3`), both are those of the set, as soon as `select_features` has found it.
    """

    names: tuple[str, ...] | None
    pins: tuple[str, ...]
    feature_set: str | None

    @classmethod
    def of(cls, names: Sequence[str] | None, *, versions: Sequence[str] = (), feature_set: str | None = None) -> Self:
        """Return what a reader asks for in lists."""
        return cls(None if names is None else tuple(names), tuple(versions), feature_set)


def select_features(asked: Selection, *, known: Registry) -> Selection:
    """Return what is asked for, with the names and pins of its feature set.

    Raises InvalidError for a set beside names or versions, and what `find_set` raises.
    """
    if asked.feature_set is None:
        return asked
    if asked.names is not None or asked.pins:
        raise InvalidError(SET_OR_NAMES, attr="set")
    found = find_set(asked.feature_set, known=known)
    return asked._replace(names=found.names, pins=found.pins)


def find_set(written: str, *, known: Registry) -> PinnedNames:
    """Return the feature set that is written so.

    Raises InvalidError for a text of another form, UnknownError where there is no such set, or it pins a version that
    can't be read yet or any more.
    """
    found = known.sets.get(written)
    if found is None:
        raise no_such_set(written, there_are=known.sets)
    gone = [pin for pin in found.pins if parse_pin(pin) not in known.views]
    if gone:
        drafts = [pin for pin in gone if parse_pin(pin) not in known.started]
        if drafts:
            detail = f"{written} pins {listed(drafts)}, still a draft: it can be read once that is in shadow."
            raise UnknownError(detail, attr="set")
        detail = f"{written} pins {listed(gone)}, which can't be read any more: make a set with a version that can."
        raise UnknownError(detail, attr="set")
    return found


def no_such_set(written: str, *, there_are: Iterable[str]) -> InvalidError | UnknownError:
    """Return the error for a set that is not there, which names the numbers of its name, or the nearest names."""
    name = written.partition(":")[0]
    newest: dict[str, int] = {}
    numbers: list[int] = []
    for known_name, _, number in (text.partition(":") for text in there_are):
        newest[known_name] = max(newest.get(known_name, 0), int(number))
        numbers += [int(number)] if known_name == name else []
    close = [f"{found}:{newest[found]}" for found in get_close_matches(name, newest)]
    if numbers:
        hint = f"{name} has {numbers_in_words(numbers)}."
    elif close:
        hint = f"Did you mean {listed(close, last='or')}?"
    else:
        hint = "" if newest else "None is made yet."
    if not WRITTEN_SET.fullmatch(written):
        return InvalidError(f"A feature set is written with its number: {SET_EXAMPLE}. {hint}".rstrip(), attr="set")
    return UnknownError(f"There is no feature set {written}. {hint}".rstrip(), attr="set")


def numbers_in_words(numbers: Sequence[int]) -> str:
    """Return the numbers of a name as text, the newest first: "the numbers 3, 2 and 1"."""
    newest = [str(number) for number in sorted(numbers, reverse=True)]
    return f"the number{'s' if len(newest) > 1 else ''} {listed(newest, most=NUMBERS_NAMED)}"


# --- Lists, from PostgreSQL -----------------------------------------------------------------------------------------


def described_sets(name: str | None) -> list[dict[str, Any]]:
    """Return all sets, or those of a name, as the API shows them: by name, the newest number first."""
    if name is not None and not re.fullmatch(SET_NAME, name, re.ASCII):
        return []
    rows = FeatureSet.objects.all() if name is None else FeatureSet.objects.filter(name=name)
    readable = readable_pins()
    return [describe_set(row, readable=readable) for row in rows]


def described_set(written: str) -> dict[str, Any]:
    """Return one set as the API shows it. Raises InvalidError and UnknownError as `find_set` does."""
    parts = WRITTEN_SET.fullmatch(written)
    found = FeatureSet.objects.filter(name=parts[1], number=int(parts[2])).first() if parts else None
    if found is None:
        raise no_such_set(written, there_are=[str(row) for row in FeatureSet.objects.only("name", "number")])
    return describe_set(found, readable=readable_pins())


def describe_set(row: FeatureSet, *, readable: frozenset[str]) -> dict[str, Any]:
    """Return a set as the API shows it; `readable` are the versions that can be read, as pins."""
    return {
        "set": str(row),
        "name": row.name,
        "number": row.number,
        "names": row.names,
        "versions": row.versions,
        "readable": readable.issuperset(row.pins),
        "reason": row.reason,
        "made_at": row.made_at,
    }


def readable_pins() -> frozenset[str]:
    """Return the versions that can be read, as pins."""
    return frozenset(str(row) for row in FeatureVersion.objects.filter(state__in=READABLE_STATES))
