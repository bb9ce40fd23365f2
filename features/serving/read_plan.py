"""What a read asks, as fields of Redis."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from features.online import store
from features.online.layout import suffix_of
from features.registry.contents import Registry, views_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadPlan:
    """What is asked of every customer of a read, and where it stands in a row of Redis.

    `names` in the order asked; of them the `registered` ones, name → type; `versions`, type → version. A row has each
    type's stamp, which ends in the version (`endings`), then each type's metadata where it was asked for, and the
    registered names' values from `values_at` on. A type's fields are in the hash with its suffix (`suffixes`).
    `lifetimes` has the seconds that values live, of the types where they end. `is_plain`: none does, and every name is
    registered and asked for once, so that a row without gaps is the whole answer. `is_switching`: one of the versions
    went live not long ago.
    """

    names: tuple[str, ...]
    registered: Mapping[str, str]
    versions: Mapping[str, str]
    defaults: Mapping[str, float]
    lifetimes: Mapping[str, float]
    endings: tuple[bytes, ...]
    values_at: int
    fields: tuple[str, ...]
    types: tuple[str, ...]
    suffixes: Mapping[str, str]
    is_plain: bool
    is_switching: bool


@lru_cache(maxsize=256)
def plan_read(names: tuple[str, ...] | None, *, pins: tuple[str, ...], known: Registry, metadata: bool) -> ReadPlan:
    """Names as Redis fields. Clients ask the same again and again, so the last questions are kept."""
    views = views_of(pins, known=known)
    if names is None:
        names = tuple(name for feature_type in sorted(views) for name in views[feature_type].names)
    registered = {
        name: definition.feature_type
        for name in names
        if (definition := known.definitions.get(name)) and definition.feature_type in views
        if name in views[definition.feature_type].names
    }
    read = {name: views[name] for name in dict.fromkeys(registered.values())}
    head = [f"_{name}" for name in read]
    if metadata:
        head += [store.metadata_field(name) for name in read]
    return ReadPlan(
        names=names,
        registered=registered,
        versions={name: view.number for name, view in read.items()},
        defaults={name: known.definitions[name].default for name in registered},
        lifetimes={name: view.time_to_live for name, view in read.items() if view.time_to_live is not None},
        endings=tuple(store.stamp_ending(view.number) for view in read.values()),
        values_at=len(head),
        fields=(*head, *registered),
        types=(*read, *(read if metadata else ()), *registered.values()),
        suffixes={name: "" if known.is_live(view) else suffix_of(*view.key) for name, view in read.items()},
        is_plain=len(registered) == len(names) and all(view.time_to_live is None for view in read.values()),
        is_switching=not known.switched.isdisjoint(read),
    )
