"""The layout of customer lists: which numbers a customer's row holds, and the SQL of each value that is listed.

A row holds what values are computed from, not what changes with time: the last purchase instead of `recency_score`, a
decaying count as of the last computation, the inputs of `rfm_score` instead of itself. So a renewal writes no row, and
a list is right at the moment at which it is asked for. An example, with the first listed features:

    listed   {1789035600.25,   0.71,             0.4,             0.83}
              last purchase    engagement_score  frequency_score  monetary_score

The last purchase is in seconds since 1970 UTC, NO_PURCHASE without one in the window. A row has its layout's checksum
in `listed_of`; rows with another one are not in the list until they are filled in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple
from zlib import crc32

from django.conf import settings

from features.formulas.activity import MICROSECONDS_PER_SECOND, NEVER
from features.formulas.behavioral import TIME_DEPENDENT
from features.formulas.expression_sql import expression_sql
from features.formulas.view import FeatureView
from features.models import FeatureType
from features.registry.contents import Registry

SECONDS_PER_DAY = 86_400
NO_PURCHASE = NEVER / MICROSECONDS_PER_SECOND
# Names that are no features: days since the customer's last purchase in the window, and since the last event.
NO_FEATURES = (DAYS_SINCE_PURCHASE, DAYS_SINCE_SEEN) = ("days_since_purchase", "days_since_seen")
# Smaller ones make values that are too close to zero for a double.
SMALLEST_DECAY = -400
# The parameter `now_s` of every SQL here is the moment of the list, in seconds since 1970 UTC.
NOW = "%(now_s)s::float8"
# The number of a name that is not listed: as it is in the newest row of the history.
NEWEST = """(
    select {number} from features_customerfeature
    where customer_id = customer.customer_id and feature_type = '{feature_type}' and version = '{version}'
    order by "timestamp" desc, id desc limit 1
)"""


class Source(NamedTuple):
    """A number that is stored: a version's feature, or with no name the moment from which the version's row holds.

    LAST_PURCHASE is of no version.
    """

    feature_type: str
    number: str
    name: str


LAST_PURCHASE = Source("", "", "last purchase")


@dataclass(frozen=True, kw_only=True, eq=False)
class ListLayout:
    """The numbers that rows hold, in their order, for the listed features of one load of the registry."""

    known: Registry
    sources: tuple[Source, ...]

    @cached_property
    def checksum(self) -> int:
        """Return the CRC-32 of what the numbers are."""
        return crc32(" ".join(":".join(source) for source in self.sources).encode())

    @cached_property
    def places(self) -> Mapping[Source, int]:
        """Return the place of each number, counted from 1 as PostgreSQL does."""
        return {source: place for place, source in enumerate(self.sources, start=1)}

    @cached_property
    def written(self) -> tuple[FeatureView, ...]:
        """Return the versions that clients write and that numbers are of."""
        keys = dict.fromkeys((source.feature_type, source.number) for source in self.sources)
        views = (self.known.views[key] for key in keys if key in self.known.views)
        computed = (FeatureType.BEHAVIORAL, FeatureType.DERIVED)
        return tuple(view for view in views if view.feature_type not in computed)

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """Return name → SQL of its value at `now_s`, null where there is none, of the row `customer`.

        In the order of the lists' columns; the two that are no features come last.
        """
        columns = {name: self.value_sql(name, view=self.known.live_names[name]) for name in self.known.listed}
        bought = self.stored(LAST_PURCHASE)
        seen = "extract(epoch from customer.last_seen_at)::float8"
        return columns | {
            DAYS_SINCE_PURCHASE: f"({NOW} - nullif({bought}, {NO_PURCHASE!r}::float8)) / {SECONDS_PER_DAY}",
            DAYS_SINCE_SEEN: f"({NOW} - {seen}) / {SECONDS_PER_DAY}",
        }

    def is_stored(self, name: str) -> bool:
        """Return whether rows hold what the name's value is computed from; if not, it is read from the history."""
        return name in self.columns or set(sources_of(name, view=self.known.live_names[name], known=self.known)) <= (
            self.places.keys()
        )

    def sql_of(self, name: str) -> str:
        """Return the SQL of a column's value, or of any other live feature's."""
        return self.columns.get(name) or self.value_sql(name, view=self.known.live_names[name])

    def stored(self, source: Source, *, factor: str = "") -> str:
        """Return the SQL of a number that the row holds, or else that the newest row of the history has."""
        if source in self.places:
            return f"customer.listed[{self.places[source]}]{factor.format(since='customer.computed_at')}"
        number = f"(features ->> '{source.name}')::float8" if source.name else 'extract(epoch from "timestamp")::float8'
        return NEWEST.format(
            number=number + factor.format(since='"timestamp"'), feature_type=source.feature_type, version=source.number
        )

    def value_sql(self, name: str, *, view: FeatureView) -> str:
        """Return the SQL of a value of a version; null where it is older than its time to live."""
        value = self.unexpired_sql(name, view=view)
        if view.time_to_live is None:
            return value
        return f"case when {NOW} - {self.moment_sql(view)} <= {view.time_to_live!r} then {value} end"

    def unexpired_sql(self, name: str, *, view: FeatureView) -> str:
        if name in TIME_DEPENDENT and name in view.formulas:
            age = f"({NOW} - {self.stored(LAST_PURCHASE)}) / {settings.WINDOW_DAYS * SECONDS_PER_DAY}"
            return f"float8larger(1 - {age}, 0)"
        if name in view.time_dependent:
            half_life = view.windowed[name].half_life_days
            assert half_life is not None
            halvings = f"({NOW} - extract(epoch from {{since}})::float8) / {half_life * SECONDS_PER_DAY!r}"
            factor = f" * exp(greatest(-ln(2::float8) * {halvings}, {SMALLEST_DECAY}))"
            return self.stored(Source(*view.key, name), factor=factor)
        if name in self.known.time_dependent_names(view):
            expression = view.expressions[name]
            read = {each: self.unexpired_sql(each, view=self.view_of(each, read_by=view)) for each in expression.names}
            return expression_sql(expression, read)
        return self.stored(Source(*view.key, name))

    def view_of(self, name: str, *, read_by: FeatureView) -> FeatureView:
        """Return the version of a name that a derived version reads."""
        return read_by if name in read_by.names else input_of(name, read_by=read_by, known=self.known)

    def moment_sql(self, view: FeatureView) -> str:
        """Return the SQL of the moment at which a version's values hold, in seconds since 1970 UTC.

        As a read sees it: computed values hold until the last computation or renewal, what clients wrote and what is
        derived from that alone since it was written.
        """
        if view.feature_type == FeatureType.BEHAVIORAL or view in self.known.derived_from_behavioral:
            renewed = "select renewed_at from features_renewal where bucket = features_bucket(customer.customer_id)"
            confirmed = f"({renewed} and renewed_at <= customer.recompute_at)"
            return f"extract(epoch from greatest(customer.computed_at, {confirmed}))::float8"
        # Of a version with an expression that can't be read it is not known what it is computed from.
        written = self.known.inputs(view) or (view,)
        return f"greatest({', '.join(self.stored(Source(*row.key, '')) for row in written)})"


def input_of(name: str, *, read_by: FeatureView, known: Registry) -> FeatureView:
    """Return the version from which a derived one reads a name of another type."""
    return next(view for view in known.inputs(read_by) if name in view.names)


@lru_cache(maxsize=2)
def list_layout(known: Registry) -> ListLayout:
    """Return the layout for the listed features of the live versions."""
    sources = [LAST_PURCHASE]
    for name in known.listed:
        sources += sources_of(name, view=known.live_names[name], known=known)
    return ListLayout(known=known, sources=tuple(dict.fromkeys(sources)))


def sources_of(name: str, *, view: FeatureView, known: Registry) -> Iterator[Source]:
    """Yield what the value of a version's name is computed from at the moment of a list."""
    yield from sources_of_moments(view, known=known)
    if name in TIME_DEPENDENT and name in view.formulas:
        return
    if view.feature_type == FeatureType.DERIVED and name in known.time_dependent_names(view):
        for read in sorted(view.expressions[name].names):
            row = view if read in view.names else input_of(read, read_by=view, known=known)
            yield from sources_of(read, view=row, known=known)
        return
    yield Source(*view.key, name)


def sources_of_moments(view: FeatureView, *, known: Registry) -> Iterator[Source]:
    """Yield the moments from which rows hold that clients wrote, where the version's values expire."""
    if view.time_to_live is None or view.feature_type == FeatureType.BEHAVIORAL:
        return
    if view in known.derived_from_behavioral:
        return
    for row in (view,) if view.feature_type != FeatureType.DERIVED else known.inputs(view):
        yield Source(*row.key, "")
