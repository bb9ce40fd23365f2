"""The contents of the registry: definitions, feature views, and which of them are live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from featurehub.lib.errors import InvalidError, UnknownError
from featurehub.lib.humanize import listed
from features.formulas.expressions import depending_on
from features.formulas.view import FeatureView
from features.formulas.windowed import WindowedFeature
from features.models import FeatureType


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A registered name: its feature type, its default, and the bounds of values that clients write.

    `bounds` are (minimum, maximum), None where there is none. `list_place` is its place among the columns of customer
    lists, None where it is not listed.
    """

    feature_type: str
    default: float
    bounds: tuple[float | None, float | None]
    list_place: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range of moments, `until` exclusive or None, for which everybody's values of a version are computed.

    `recorded_at` is None while they are being computed.
    """

    since: datetime
    until: datetime | None
    recorded_at: datetime | None

    def has(self, moment: datetime) -> bool:
        return self.since <= moment and (self.until is None or moment < self.until)

    def is_known(self, at: datetime | None) -> bool:
        """Return whether it had been computed at that moment; None is now."""
        return self.recorded_at is not None and (at is None or self.recorded_at <= at)

    @property
    def is_being_backfilled(self) -> bool:
        """The claim that its rows are not those of the whole range yet: days are computed one after the other."""
        return self.recorded_at is None and self.until is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedNames:
    """The contents of a feature set: names in its order, and the pins (`behavioral:1.0`) of their versions."""

    names: tuple[str, ...]
    pins: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Registry:
    """One load of the registry.

    `definitions`: name → definition. `views`: (type, number) → readable version. `live`: feature type → number of the
    live version. `put_aside`: (type, number) of a readable version whose values may be old, because its computation
    failed → since when. It is not computed, unless it is in `taken_up`: a run computes it for everybody. `broken`:
    (type, number) of a version that is put aside because a definition of it can't be read → why. `switched`: the types
    whose live version changed within the last FEATURE_TTL. `started`: (type, number) of every version past its draft
    state, retired ones included. `spans`: (type, number) of a readable version → the ranges that it has values in; a
    version without one has no such limit. `sets`: `churn_model:3` → the feature set. `seconds_to_switch`: seconds from
    the load until a version goes live, which ends the load; None where none is to go live.

    Loads are compared by identity, so that caches of derived results can use a load as their key.
    """

    definitions: Mapping[str, Definition]
    views: Mapping[tuple[str, str], FeatureView]
    live: Mapping[str, str]
    put_aside: Mapping[tuple[str, str], datetime]
    broken: Mapping[tuple[str, str], str]
    taken_up: frozenset[tuple[str, str]]
    switched: frozenset[str]
    started: tuple[tuple[str, str], ...]
    spans: Mapping[tuple[str, str], tuple[Span, ...]]
    sets: Mapping[str, PinnedNames]
    seconds_to_switch: float | None

    def view(self, feature_type: str, number: str) -> FeatureView:
        """Return a readable version.

        Raises UnknownError for a version that can't be read.
        """
        try:
            return self.views[feature_type, number]
        except KeyError:
            raise self.unreadable(f"{feature_type}:{number}", feature_type=feature_type) from None

    def unreadable(self, named: str, *, feature_type: str) -> UnknownError:
        """Return the error for a version that can't be read, which names those of its type that can, or the types."""
        numbers = [number for name, number in self.views if name == feature_type]
        there_are = [f"{feature_type}:{number}" for number in numbers] or sorted(self.live)
        what = "the readable ones are" if numbers else "the feature types are"
        detail = f"There is no readable version {named}; {what} {listed(there_are)}."
        return UnknownError(detail, attr="version")

    def live_view(self, feature_type: str) -> FeatureView:
        return self.views[feature_type, self.live[feature_type]]

    def is_live(self, view: FeatureView) -> bool:
        return self.live.get(view.feature_type) == view.number

    def computed(self, feature_type: str) -> tuple[FeatureView, ...]:
        """Return the versions of a type that are computed, the live one first."""
        left_out = self.put_aside.keys() - self.taken_up
        views = [view for view in self.views.values() if view.feature_type == feature_type and view.key not in left_out]
        return tuple(sorted(views, key=self.is_live, reverse=True))

    @cached_property
    def behavioral(self) -> tuple[FeatureView, ...]:
        return self.computed(FeatureType.BEHAVIORAL)

    @cached_property
    def derived(self) -> tuple[FeatureView, ...]:
        return self.computed(FeatureType.DERIVED)

    @cached_property
    def derived_from_behavioral(self) -> tuple[FeatureView, ...]:
        """Return the derived versions that read behavioral ones.

        Their values hold at the moment of the behavioral values; those of other derived versions are as old as what
        clients wrote.
        """
        return tuple(view for view in self.derived if not set(self.behavioral).isdisjoint(self.inputs(view)))

    @cached_property
    def windowed(self) -> tuple[WindowedFeature, ...]:
        """Return the windowed features of all versions, which engines compute in one pass."""
        return tuple({name: feature for view in self.behavioral for name, feature in view.windowed.items()}.values())

    def is_computed(self, view: FeatureView, *, at: datetime, known_at: datetime | None = None) -> bool:
        """Return whether everybody's values of the version at a moment are, or were at `known_at`, computed."""
        spans = self.spans.get(view.key, ())
        return not spans or any(span.has(at) and span.is_known(known_at) for span in spans)

    def is_being_backfilled(self, view: FeatureView, *, at: datetime) -> bool:
        """Return whether the rows that hold at a moment may be those of an earlier day, as its own is to come."""
        return any(span.is_being_backfilled and span.has(at) for span in self.spans.get(view.key, ()))

    @cached_property
    def live_names(self) -> dict[str, FeatureView]:
        """Return name → live version, of every name that readers get without naming a version."""
        views = (self.live_view(feature_type) for feature_type in self.live)
        return {name: view for view in views for name in view.names}

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """Return the live names that customer lists show and are sorted by, in the order of their places."""
        places = {name: row.list_place for name, row in self.definitions.items() if row.list_place is not None}
        return tuple(sorted(places.keys() & self.live_names.keys(), key=lambda name: places[name]))

    def left_out(self, view: FeatureView) -> tuple[str, ...]:
        """Return the names of the version's feature type that the version does not have."""
        of_type = (name for name, row in self.definitions.items() if row.feature_type == view.feature_type)
        return tuple(name for name in of_type if name not in view.names)

    def inputs(self, view: FeatureView) -> list[FeatureView]:
        """Return the versions that a derived version reads."""
        inputs = (self.views[key] for key in view.inputs.items() if key in self.views)
        return [row for row in inputs if view.reads.intersection(row.names)]

    def read_by_derived(self, view: FeatureView) -> tuple[str, ...]:
        """Return the names of a behavioral version that derived ones read, without the time-dependent names."""
        reading = [derived.reads for derived in self.derived_from_behavioral if view in self.inputs(derived)]
        names = set(view.names).intersection(*[set().union(*reading)]).difference(view.time_dependent)
        return tuple(sorted(names))

    def time_dependent_names(self, view: FeatureView) -> tuple[str, ...]:
        """Return the names of a computed version whose values change with time alone."""
        if view.feature_type != FeatureType.DERIVED:
            return view.time_dependent
        inputs = [name for row in self.inputs(view) for name in row.time_dependent]
        depending = depending_on(view.expressions, inputs)
        return tuple(name for name in view.names if name in depending)


def resolve_pins(pins: Sequence[str], *, known: Registry) -> dict[str, FeatureView]:
    """Return feature type → version to read: the pinned one, or else the live one.

    Raises what `pinned_views` raises.
    """
    return {name: known.live_view(name) for name in known.live} | pinned_views(pins, known=known)


def pinned_views(pins: Sequence[str], *, known: Registry) -> dict[str, FeatureView]:
    """Return feature type → version, of the types that are pinned.

    Raises UnknownError for a version that can't be read, InvalidError for two versions of one type.
    """
    pinned: dict[str, FeatureView] = {}
    for text in pins:
        feature_type, number = parse_pin(text)
        view = known.views.get((feature_type, number))
        if view is None:
            raise known.unreadable(text, feature_type=feature_type)
        if pinned.setdefault(feature_type, view) is not view:
            raise InvalidError(f"Two versions of {feature_type} are requested.", attr="version")
    return pinned


def parse_pin(text: str) -> tuple[str, str]:
    """Return the type and the number of a pin: `behavioral:1.0`, or `1.0` for the same."""
    feature_type, separator, number = text.partition(":")
    return (feature_type, number) if separator else (FeatureType.BEHAVIORAL.value, text)
