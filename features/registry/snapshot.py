"""The registry in memory, loaded from PostgreSQL and kept for SNAPSHOT_SECONDS.

Reads need no query for it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from events.categories import stored_category
from featurehub.lib.errors import FeatureHubError, InvalidError, UnknownError
from featurehub.lib.snapshot import LOOK_AGAIN_SECONDS, Snapshot
from features.formulas.behavioral import BEHAVIORAL_FEATURES
from features.formulas.expressions import Expression, computation_order, parse
from features.formulas.view import FeatureView, undefined_names
from features.formulas.windowed import WindowedFeature
from features.models import (
    READABLE_STATES,
    WRITTEN_BY_CLIENTS,
    FeatureDefinition,
    FeatureSet,
    FeatureType,
    FeatureVersion,
)
from features.registry.contents import Definition, PinnedNames, Registry, Span

T = TypeVar("T")
# A version goes live this long after the operator's step, at one moment in all processes: by then each has loaded it.
SWITCH_AFTER = timedelta(seconds=2 * settings.SNAPSHOT_SECONDS)
# Whole tables are read, as they are small: 19 definitions at first, some hundred in a large installation.
# Sets are not changed or deleted, so their number and the last one tell that there is none that is not known.
FINGERPRINT = """
select concat(
    (select md5(string_agg(version::text, ',' order by id)) from features_featureversion version),
    (select md5(string_agg(definition::text, ',' order by id)) from features_featuredefinition definition),
    (select md5(string_agg(link::text, ',' order by id)) from features_featureversion_definitions link),
    (select md5(string_agg(span::text, ',' order by id)) from features_computedrange span),
    (select concat(' ', count(*), ' ', max(id)) from features_featureset)
)
"""


def load_registry() -> Registry:
    """Load the registry from PostgreSQL, with six queries."""
    versions = FeatureVersion.objects.exclude(state=FeatureVersion.State.DRAFT).annotate(now=Now())
    started = list(versions.prefetch_related("definitions", "computed_ranges"))
    rows = [row for row in started if row.state in READABLE_STATES]
    definitions = list(FeatureDefinition.objects.prefetch_related("versions"))
    live = {row.feature_type: row for row in sorted(filter(has_gone_live, rows), key=went_live)}
    # Clients may write every registered name, so one that is in no version belongs to the live version.
    unnamed = [row for row in definitions if row.feature_type in WRITTEN_BY_CLIENTS and not row.versions.all()]
    views, broken = views_of(rows, live=live, unnamed=unnamed)
    return Registry(
        definitions={
            row.name: Definition(
                feature_type=row.feature_type,
                default=row.default,
                bounds=(row.minimum, row.maximum),
                list_place=row.list_place,
            )
            for row in definitions
        },
        views=views,
        live={feature_type: row.number for feature_type, row in live.items()},
        put_aside={
            key_of_version(row): row.put_aside_at or row.now
            for row in rows
            if row.put_aside_at is not None or key_of_version(row) in broken
        },
        broken=broken,
        taken_up=frozenset(key_of_version(row) for row in rows if row.is_taken_up) - broken.keys(),
        switched=frozenset(feature_type for feature_type, row in live.items() if has_just_switched(row)),
        started=tuple(map(key_of_version, started)),
        spans={
            key_of_version(row): tuple(
                Span(since=span.since, until=span.until, recorded_at=span.recorded_at)
                for span in row.computed_ranges.all()
            )
            for row in rows
        },
        sets={str(row): PinnedNames(names=tuple(row.names), pins=tuple(row.pins)) for row in FeatureSet.objects.all()},
        seconds_to_switch=min(
            ((row.live_from - row.now).total_seconds() for row in rows if not has_gone_live(row) and row.live_from),
            default=None,
        ),
    )


def key_of_version(row: FeatureVersion) -> tuple[str, str]:
    """Return the key of the version's view."""
    return row.feature_type, row.number


def views_of(
    rows: Iterable[FeatureVersion], *, live: Mapping[str, FeatureVersion], unnamed: Iterable[FeatureDefinition]
) -> tuple[dict[tuple[str, str], FeatureView], dict[tuple[str, str], str]]:
    """Return the versions as views, and of those with a definition that can't be read the reason, by key.

    `unnamed` are the definitions that are in no version, and so in the live one of their type.
    """
    views: dict[tuple[str, str], FeatureView] = {}
    broken: dict[tuple[str, str], str] = {}
    for row in rows:
        free = [each for each in unnamed if each.feature_type == row.feature_type and row in live.values()]
        definitions = [*row.definitions.all(), *free]
        try:
            views[key_of_version(row)] = as_view(row, definitions=definitions)
        except InvalidError as error:
            # One by hand in the database, or by another release. It holds up no other version.
            views[key_of_version(row)] = view_of_names(row, definitions=definitions)
            broken[key_of_version(row)] = error.detail
    return views, broken


def has_gone_live(row: Any) -> bool:
    """Return whether the version's `live_from` has passed.

    Of these versions the one with the latest `live_from` is live. The states do not tell: they change SWITCH_AFTER
    earlier.
    """
    return row.live_from is not None and row.live_from <= row.now


def went_live(row: FeatureVersion) -> datetime:
    """Return the moment at which the version went live."""
    assert row.live_from is not None
    return row.live_from


def has_just_switched(row: Any) -> bool:
    """Return whether Redis may still hold the values of the previous live version as the live ones."""
    return bool(row.now - row.live_from < timedelta(seconds=settings.FEATURE_TTL))


def as_view(row: FeatureVersion, *, definitions: Collection[FeatureDefinition]) -> FeatureView:
    """Return a version with its definitions as a view.

    Raises InvalidError for an expression that can't be parsed, and for expressions that read each other in a circle.
    """
    derived = definitions if row.feature_type == FeatureType.DERIVED else ()
    expressions = {known.name: expression_of(known) for known in derived}
    return replace(
        view_of_names(row, definitions=definitions),
        windowed={known.name: as_windowed(known) for known in in_order_of_names(definitions) if known.kind},
        expressions={
            name: expressions[name] for name in computation_order(expressions, known=undefined_names(expressions))
        },
    )


def view_of_names(row: FeatureVersion, *, definitions: Collection[FeatureDefinition]) -> FeatureView:
    """Return a version as a view without what its definitions say of how they are computed: it can only be read."""
    kinds = {known.name: known.kind for known in in_order_of_names(definitions)}
    return FeatureView(
        feature_type=row.feature_type,
        number=row.number,
        names=tuple(kinds),
        time_to_live=row.time_to_live,
        formulas=tuple(name for name in BEHAVIORAL_FEATURES if kinds.get(name) == ""),
        inputs=row.inputs,
    )


def in_order_of_names(definitions: Iterable[FeatureDefinition]) -> list[FeatureDefinition]:
    """Return the definitions in the order of their names."""
    return sorted(definitions, key=lambda known: known.name)


def expression_of(definition: FeatureDefinition) -> Expression:
    """Return a definition's expression. Raise InvalidError, which names the definition, where it can't be parsed."""
    try:
        return parse(definition.expression)
    except InvalidError as error:
        raise InvalidError(f"{definition.name}: {error.detail}", attr=error.attr) from None


def as_windowed(definition: FeatureDefinition) -> WindowedFeature:
    """Return a definition with a window as the engines take it."""
    assert definition.window_hours is not None
    return WindowedFeature(
        name=definition.name,
        kind=definition.kind,
        event_type=definition.event_type or None,
        category=None if definition.category is None else stored_category(definition.category),
        metadata_key=definition.metadata_key or None,
        window_hours=definition.window_hours,
        half_life_days=definition.half_life_days,
    )


def fingerprint() -> str:
    """Return a digest of the tables that `load_registry` reads, at a twentieth of its cost."""
    with connection.cursor() as cursor:
        cursor.execute(FINGERPRINT)
        text: str = cursor.fetchone()[0]
        return text


registry_snapshot = Snapshot(
    load_registry,
    seconds=settings.SNAPSHOT_SECONDS,
    until=lambda held: held.seconds_to_switch,
    fingerprint=fingerprint,
    in_background=True,
)


def found_in_registry(
    find: Callable[[Registry], T], *, refusals: tuple[type[FeatureHubError], ...] = (UnknownError,)
) -> T:
    """Return what `find` returns for the registry in memory, or where it raises one of `refusals`, for a younger one.

    So the next request finds what was made a moment ago in another process.
    """
    try:
        return find(registry_snapshot.get())
    except refusals:
        return find(registry_snapshot.get(younger_than=LOOK_AGAIN_SECONDS))


def definitions() -> QuerySet[FeatureDefinition]:
    """Return every definition, with the versions that it is in."""
    return FeatureDefinition.objects.prefetch_related("versions")
