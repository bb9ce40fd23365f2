"""The plan of a read: names and versions as fields of Redis hashes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import orjson

from features.online import layout
from features.registry.contents import Registry, resolve_pins
from features.registry.feature_sets import Selection, select_features
from features.registry.snapshot import found_in_registry

# Plans of longer lists of names and versions are made each time.
CACHED_PLAN_CHARACTERS = 8_192


class TooLongToKeep(Exception):
    """A list of names and versions is so long that its plan is not kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadPlan:
    """The fields to read of every customer, and how a row of them is laid out.

    `GET …?names=cart_value,engagement_score` gives the row

        _contextual, _behavioral,  cart_value, engagement_score      (fields)
        stamps of `versions`       values of `registered`, from `values_at` on

    With metadata asked for, `_contextual:metadata, _behavioral:metadata` stand between the two.

    `names`: in the order asked; the `registered` ones of them, name → type. `versions`: type → number, one for each
    type of a registered name; `version_texts`: the ends of their stamps, in the same order. `types`: the type of each
    field. `suffixes`: type → the suffix of the hash that holds it. `defaults`: name → value of a name without one.
    `lifetimes`: type → seconds, of the versions whose values expire. `is_plain`: no value expires, and every name is
    registered and asked for once, so that a row without gaps is the whole answer. `is_switching`: one of the versions
    went live within the last TTL. `feature_set`: the set that gave the names and versions, or None.
    """

    names: tuple[str, ...]
    registered: Mapping[str, str]
    versions: Mapping[str, str]
    defaults: Mapping[str, float]
    lifetimes: Mapping[str, float]
    version_texts: tuple[bytes, ...]
    values_at: int
    fields: tuple[str, ...]
    types: tuple[str, ...]
    suffixes: Mapping[str, str]
    is_plain: bool
    is_switching: bool
    feature_set: str | None

    @cached_property
    def hashes(self) -> Mapping[str, Sequence[int]]:
        """Return the hashes to read, see `places_in_hashes`."""
        return places_in_hashes(self.types, suffixes=self.suffixes)

    @cached_property
    def features_template(self) -> bytes:
        """Return the JSON object of the values where none is missing, with a %b for each."""
        return b"{%b}" % b",".join([literal(name) + b":%b" for name in self.names])

    @cached_property
    def template(self) -> bytes:
        """Return the answer where no value is missing, with a %b for each part that differs between customers."""
        of_set = b"" if self.feature_set is None else b'"set":%b,' % literal(self.feature_set)
        return (
            b'{"customer_id":%%b,%b"versions":%b,"features":%b,"missing":{},'
            b'"computed_at":%%b,"age_seconds":%%b,"source":"%%b"}'
        ) % (of_set, literal(self.versions), self.features_template)


def literal(value: object) -> bytes:
    """Return the JSON of a value, escaped for a template."""
    return orjson.dumps(value).replace(b"%", b"%%")


def plan_read(asked: Selection, *, with_metadata: bool = False) -> ReadPlan:
    """Return the plan to read these names, or those of the feature set.

    Raises UnknownError for a version or set that can't be read, InvalidError for a set beside names or versions.
    """
    try:
        return found_in_registry(lambda known: cached_plan(known, asked, with_metadata))
    except TooLongToKeep:
        return found_in_registry(lambda known: make_plan(known, asked, with_metadata))


# Clients ask the same again and again, so the last plans are kept.
@lru_cache(maxsize=256)
def cached_plan(known: Registry, asked: Selection, with_metadata: bool) -> ReadPlan:
    """Return the plan as `make_plan` does. Raise TooLongToKeep for a longer list: the cache has to stay small."""
    if len("".join((*(asked.names or ()), *asked.pins))) > CACHED_PLAN_CHARACTERS:
        raise TooLongToKeep
    return make_plan(known, asked, with_metadata)


def make_plan(known: Registry, asked: Selection, with_metadata: bool) -> ReadPlan:
    """Return the plan for one content of the registry."""
    names, pins, feature_set = select_features(asked, known=known)
    views = resolve_pins(pins, known=known)
    if names is None:
        names = tuple(name for feature_type in sorted(views) for name in views[feature_type].names)
    registered = {
        name: definition.feature_type
        for name in names
        if (definition := known.definitions.get(name)) and definition.feature_type in views
        if name in views[definition.feature_type].names
    }
    read = {name: views[name] for name in dict.fromkeys(registered.values())}
    head = [layout.stamp_field(name) for name in read]
    if with_metadata:
        head += [layout.metadata_field(name) for name in read]
    return ReadPlan(
        names=names,
        registered=registered,
        versions={name: view.number for name, view in read.items()},
        defaults={name: known.definitions[name].default for name in registered},
        lifetimes={name: view.time_to_live for name, view in read.items() if view.time_to_live is not None},
        version_texts=tuple(layout.version_text(view.number) for view in read.values()),
        values_at=len(head),
        fields=(*head, *registered),
        types=(*read, *(read if with_metadata else ()), *registered.values()),
        suffixes={name: layout.suffix_in(known, view) for name, view in read.items()},
        is_plain=len(registered) == len(names) and all(view.time_to_live is None for view in read.values()),
        is_switching=not known.switched.isdisjoint(read),
        feature_set=feature_set,
    )


def places_in_hashes(types: Sequence[str], *, suffixes: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the suffix of each hash → the places of its fields; `types` are those of all fields."""
    places: dict[str, list[int]] = {}
    for place, feature_type in enumerate(types):
        places.setdefault(suffixes[feature_type], []).append(place)
    return places
