"""What is registered, held in memory: reads must not ask PostgreSQL what a name means."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from events.categories import kept
from featurehub.lib.errors import InvalidError, UnknownError
from featurehub.lib.snapshot import Snapshot
from features.expressions import Expression, in_order, moved_by, parse
from features.formulas import BEHAVIORAL, TIME_DEPENDENT
from features.models import FeatureDefinition, FeatureType, FeatureVersion
from features.windowed import WindowedFeature

State = FeatureVersion.State
READABLE = (State.SHADOW, State.LIVE, State.DEPRECATED)
# The types whose values clients write; the others are computed.
WRITTEN_BY_CLIENTS = (FeatureType.CUSTOMER, FeatureType.CONTEXTUAL)
# A version that goes live is switched to so much later, at one moment everywhere: by then every process knows of it.
SWITCH_AFTER = timedelta(seconds=2 * settings.SNAPSHOT_SECONDS)
# The tables are small: 19 definitions at first, and some hundred where there are many.
FINGERPRINT = """
select concat(
    (select md5(string_agg(version::text, ',' order by id)) from features_featureversion version),
    (select md5(string_agg(definition::text, ',' order by id)) from features_featuredefinition definition),
    (select md5(string_agg(link::text, ',' order by id)) from features_featureversion_definitions link)
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What is known of a name: its type, what a read gives without a value, and which values may be written."""

    feature_type: str
    default: float
    bounds: tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureView:
    """A version that can be read: the names it has, in an order in which each can be computed after those before it.

    `formulas`, `windowed` and `expressions` are the three ways a name is computed; `inputs` (type → number) says of
    which versions the expressions' names are.
    """

    feature_type: str
    number: str
    names: tuple[str, ...]
    time_to_live: float | None
    formulas: tuple[str, ...] = ()
    windowed: Mapping[str, WindowedFeature] = field(default_factory=dict)
    expressions: Mapping[str, Expression] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        return self.feature_type, self.number

    @property
    def suffix(self) -> str:
        """What the key of its values ends in, where it is not the live version."""
        return suffix_of(self.feature_type, self.number)

    @property
    def lifetime_of_written(self) -> timedelta | None:
        """How long what a client wrote holds; None: until it writes again. Computed values were right at any moment."""
        if self.time_to_live is None or self.feature_type not in WRITTEN_BY_CLIENTS:
            return None
        return timedelta(seconds=self.time_to_live)

    @cached_property
    def reads(self) -> frozenset[str]:
        """The names that the expressions take from other versions."""
        return frozenset(names_in(self.expressions))

    @cached_property
    def decaying(self) -> tuple[WindowedFeature, ...]:
        """The windowed features whose values fall with time alone."""
        return tuple(feature for feature in self.windowed.values() if feature.decays)

    @cached_property
    def time_dependent(self) -> tuple[str, ...]:
        """The behavioral names whose values change with time alone."""
        decaying = {feature.name for feature in self.decaying}
        return tuple(name for name in self.names if name in TIME_DEPENDENT or name in decaying)


@dataclass(frozen=True, kw_only=True, eq=False)
class Registry:
    """`definitions`: name → what is known of it. `views`: (type, number) → every version that can be read. `live`:
    feature type → number. `switched`: the types whose live version changed within the last FEATURE_TTL. `suffixes`:
    what the keys of versions end in, also of those that were retired.

    Each load is one of its own, equal to no other, so that what was derived from it can be kept by it. It holds until
    a version goes live in `seconds_to_switch`.
    """

    definitions: Mapping[str, Definition]
    views: Mapping[tuple[str, str], FeatureView]
    live: Mapping[str, str]
    switched: frozenset[str]
    suffixes: tuple[str, ...]
    seconds_to_switch: float | None

    def view(self, feature_type: str, number: str) -> FeatureView:
        """Raises UnknownError for a version that can't be read."""
        try:
            return self.views[feature_type, number]
        except KeyError:
            raise UnknownError(f"There is no readable version {feature_type}:{number}.", attr="version") from None

    def live_view(self, feature_type: str) -> FeatureView:
        return self.views[feature_type, self.live[feature_type]]

    def is_live(self, view: FeatureView) -> bool:
        return self.live.get(view.feature_type) == view.number

    def of_type(self, feature_type: str) -> tuple[FeatureView, ...]:
        """The readable versions of a type, the live one first."""
        views = [view for view in self.views.values() if view.feature_type == feature_type]
        return tuple(sorted(views, key=self.is_live, reverse=True))

    @cached_property
    def behavioral(self) -> tuple[FeatureView, ...]:
        return self.of_type(FeatureType.BEHAVIORAL)

    @cached_property
    def derived(self) -> tuple[FeatureView, ...]:
        return self.of_type(FeatureType.DERIVED)

    @cached_property
    def derived_from_behavioral(self) -> tuple[FeatureView, ...]:
        """The derived versions whose values hold at the moment of behavioral ones; the others are as old as what
        clients wrote."""
        return tuple(view for view in self.derived if not set(self.behavioral).isdisjoint(self.inputs(view)))

    @cached_property
    def windowed(self) -> tuple[WindowedFeature, ...]:
        """The windowed features of all versions: engines compute them in one pass."""
        return tuple({name: feature for view in self.behavioral for name, feature in view.windowed.items()}.values())

    def left_out(self, view: FeatureView) -> tuple[str, ...]:
        """The names of the version's type that it does not have."""
        of_type = (name for name, row in self.definitions.items() if row.feature_type == view.feature_type)
        return tuple(name for name in of_type if name not in view.names)

    def inputs(self, view: FeatureView) -> list[FeatureView]:
        """The versions that a derived version takes names from."""
        inputs = (self.views[key] for key in view.inputs.items() if key in self.views)
        return [row for row in inputs if view.reads.intersection(row.names)]

    def read_by_derived(self, view: FeatureView) -> tuple[str, ...]:
        """The names of a behavioral version that derived ones are computed from, but for those that time moves."""
        reading = [derived.reads for derived in self.derived_from_behavioral if view in self.inputs(derived)]
        names = set(view.names).intersection(*[set().union(*reading)]).difference(view.time_dependent)
        return tuple(sorted(names))

    def moving(self, view: FeatureView) -> tuple[str, ...]:
        """The names of a computed version whose values change with time alone."""
        if view.feature_type != FeatureType.DERIVED:
            return view.time_dependent
        moving = [name for row in self.inputs(view) for name in row.time_dependent]
        moved = moved_by(view.expressions, moving)
        return tuple(name for name in view.names if name in moved)


def load() -> Registry:
    """The registry as PostgreSQL has it now: three queries."""
    versions = FeatureVersion.objects.exclude(state=State.DRAFT).annotate(now=Now())
    started = list(versions.prefetch_related("definitions"))
    rows = [row for row in started if row.state in READABLE]
    definitions = list(FeatureDefinition.objects.prefetch_related("versions"))
    live = {row.feature_type: row for row in sorted(filter(has_gone_live, rows), key=went_live)}
    # What clients write is in the live version where no version names it: a client may write what is registered.
    unnamed = [row for row in definitions if row.feature_type in WRITTEN_BY_CLIENTS and not row.versions.all()]
    return Registry(
        definitions={
            row.name: Definition(feature_type=row.feature_type, default=row.default, bounds=(row.minimum, row.maximum))
            for row in definitions
        },
        views={
            (row.feature_type, row.number): as_view(
                row,
                definitions=[
                    *row.definitions.all(),
                    *(free for free in unnamed if free.feature_type == row.feature_type and row in live.values()),
                ],
            )
            for row in rows
        },
        live={feature_type: row.number for feature_type, row in live.items()},
        switched=frozenset(feature_type for feature_type, row in live.items() if has_just_switched(row)),
        suffixes=tuple(suffix_of(row.feature_type, row.number) for row in started),
        seconds_to_switch=min(
            ((row.live_from - row.now).total_seconds() for row in rows if not has_gone_live(row) and row.live_from),
            default=None,
        ),
    )


def suffix_of(feature_type: str, number: str) -> str:
    return f":{feature_type}:{number}"


def has_gone_live(row: Any) -> bool:
    """Of the versions whose moment has come the latest is the live one, whatever their states say meanwhile."""
    return row.live_from is not None and row.live_from <= row.now


def went_live(row: FeatureVersion) -> datetime:
    assert row.live_from is not None
    return row.live_from


def has_just_switched(row: Any) -> bool:
    """Whether Redis may still hold the values of the version before it as the live ones."""
    return bool(row.now - row.live_from < timedelta(seconds=settings.FEATURE_TTL))


def as_view(row: FeatureVersion, *, definitions: Iterable[FeatureDefinition]) -> FeatureView:
    """A version and its definitions as reads and computations take them."""
    by_name = {definition.name: definition for definition in sorted(definitions, key=lambda known: known.name)}
    expressions = {name: parse(known.expression) for name, known in by_name.items() if known.expression}
    return FeatureView(
        feature_type=row.feature_type,
        number=row.number,
        names=tuple(by_name),
        time_to_live=row.time_to_live,
        formulas=tuple(name for name in BEHAVIORAL if name in by_name and not by_name[name].kind),
        windowed={name: as_windowed(known) for name, known in by_name.items() if known.kind},
        expressions={name: expressions[name] for name in in_order(expressions, known=names_in(expressions))},
        inputs=row.inputs,
    )


def names_in(expressions: Mapping[str, Expression]) -> set[str]:
    """The names that the expressions take from elsewhere. They were checked when the version left its draft."""
    return {name for expression in expressions.values() for name in expression.names} - set(expressions)


def as_windowed(definition: FeatureDefinition) -> WindowedFeature:
    """A definition as the engines take it."""
    assert definition.window_days is not None
    return WindowedFeature(
        name=definition.name,
        kind=definition.kind,
        event_type=definition.event_type or None,
        category=None if definition.category is None else kept(definition.category),
        metadata_key=definition.metadata_key or None,
        window_days=definition.window_days,
        half_life_days=definition.half_life_days,
    )


def fingerprint() -> str:
    """Of everything that `load` reads: a twentieth of its cost."""
    with connection.cursor() as cursor:
        cursor.execute(FINGERPRINT)
        text: str = cursor.fetchone()[0]
        return text


registry = Snapshot(
    load, seconds=settings.SNAPSHOT_SECONDS, until=lambda held: held.seconds_to_switch, fingerprint=fingerprint
)


def definitions() -> QuerySet[FeatureDefinition]:
    """Every definition with the versions it is in."""
    return FeatureDefinition.objects.prefetch_related("versions")


def views_of(pins: Sequence[str], *, known: Registry) -> dict[str, FeatureView]:
    """Feature type → the version to read: the live one, or the one pinned (`behavioral:1.0`, or just `1.0` for it).

    Raises UnknownError for a version that can't be read, InvalidError for two versions of one type.
    """
    pinned: dict[str, FeatureView] = {}
    for text in pins:
        feature_type, separator, number = text.partition(":")
        if not separator:
            feature_type, number = FeatureType.BEHAVIORAL.value, text
        view = known.views.get((feature_type, number))
        if view is None:
            raise UnknownError(f"There is no readable version {text}.", attr="version")
        if pinned.setdefault(feature_type, view) is not view:
            raise InvalidError(f"Two versions of {feature_type} are asked for.", attr="version")
    return {name: known.live_view(name) for name in known.live} | pinned
