"""The join of staged rows, customers at moments, with the values that held then: one statement, one COPY.

The rows are staged in the temporary table `staged_label`, with the columns customer_id and moment, and others that
`values_held` is told to read beside the values.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from django.db import connection
from psycopg import sql

from featurehub.lib.arrow_csv import read_csv
from featurehub.lib.clock import nearest_in_utc
from featurehub.lib.copying import copy_stream
from featurehub.lib.errors import UnknownError
from featurehub.lib.suggestions import did_you_mean
from features.formulas.view import FeatureView
from features.offline.as_of import ROW_HOLDING, written_lifetime
from features.registry.contents import Span, resolve_pins
from features.registry.feature_sets import Selection, select_features
from features.registry.snapshot import registry_snapshot

# It goes through the rows customer by customer, so that the index and the rows of a customer are read once and need
# not fit into memory.
JOIN = sql.SQL(
    """
copy (
    select {keys}, {values}
    from (select * from staged_label order by customer_id, moment) entity {joins} {order}
) to stdout (format csv)
"""
)
IN_ORDER = sql.SQL("order by entity.customer_id, entity.moment")
JOIN_HELD = sql.SQL("left join lateral ({row}) {held} on not {held}.has_expired and not ({hidden})")
WITHIN = sql.SQL("(entity.moment >= {since} and entity.moment < coalesce({until}, timestamptz 'infinity'))")
COUNT_NOT_COMPUTED = sql.SQL("({held}.features is null and not ({computed}))::int")
FIRST_NOT_COMPUTED = sql.SQL("select min(moment) from staged_label entity where not ({computed})")
LIFETIME = sql.SQL("{lifetime}::interval")
VALUE_COLUMN = sql.SQL("{held}.features ->> {name}")

# Column of staged_label → the column of the result that it becomes.
Keys = Mapping[str, pa.Field]


@dataclass(slots=True, kw_only=True)
class NotComputed:
    """A version that has nobody's values at the moments of some `rows`, the earliest of them at `first`.

    `spans` are the ranges that it has values in, from `since` on; None where it has none.
    """

    view: FeatureView
    spans: Sequence[Span]
    first: datetime
    since: datetime | None
    rows: int = 0

    @property
    def column(self) -> str:
        """The name of the column that counts its rows; no feature can have it."""
        return f"not computed: {self.view.feature_type}"


def views_by_name(
    names: Sequence[str] | None, *, versions: Sequence[str], feature_set: str | None = None
) -> dict[str, FeatureView]:
    """Return name → version that it is read from, in the order in which they are named.

    Raises UnknownError for a name that is in none of them.
    """
    registry = registry_snapshot.get()
    chosen = select_features(Selection.of(names, versions=versions, feature_set=feature_set), known=registry)
    views = resolve_pins(chosen.pins, known=registry)
    known = {name: view for view in views.values() for name in view.names}
    wanted = sorted(known) if chosen.names is None else chosen.names
    for name in wanted:
        if name not in known:
            detail = f"There is no feature {name} in the versions that are read.{did_you_mean(name, known)}"
            raise UnknownError(detail, attr="names")
    return {name: known[name] for name in wanted}


def versions_with_a_limit(views: Mapping[str, FeatureView], *, known_at: datetime | None) -> list[NotComputed]:
    """Return the versions that have nobody's values at the moments of some rows, their rows not counted yet."""
    known, found = registry_snapshot.get(), []
    for view in {view.key: view for view in views.values()}.values():
        spans = [span for span in known.spans.get(view.key, ()) if span.is_known(known_at)]
        if not known.spans.get(view.key):
            continue
        with connection.cursor() as cursor:
            cursor.execute(FIRST_NOT_COMPUTED.format(computed=within_any(spans)))
            first = cursor.fetchone()[0]
        if first is not None:
            since = min((span.since for span in spans), default=None)
            found.append(NotComputed(view=view, spans=spans, first=first, since=since))
    return found


def within_any(spans: Iterable[Span]) -> sql.Composed:
    """Return the condition that the moment of a row is in one of the ranges."""
    parts = [WITHIN.format(since=sql.Literal(span.since), until=sql.Literal(span.until)) for span in spans]
    return sql.SQL(" or ").join(parts) if parts else sql.Composed([sql.SQL("false")])


def without_counts(batches: Iterable[pa.RecordBatch], *, lacking: Sequence[NotComputed]) -> Iterator[pa.RecordBatch]:
    """Yield the batches without the columns that count the rows of these versions which are not computed."""
    for batch in batches:
        for each in lacking:
            each.rows += pc.sum(batch[each.column]).as_py() or 0
        yield batch.drop_columns([each.column for each in lacking]) if lacking else batch


def values_held(
    views: Mapping[str, FeatureView],
    *,
    keys: Keys,
    limited: Sequence[NotComputed],
    known_at: datetime | None,
    in_order: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Yield the keys and the values that held of each staged row; one statement. Drop the staged rows at the end.

    The rows come in any order or, if `in_order`, in that of customers and moments. For each `limited` version, a
    further column is 1 where the row has no values as nobody has any.
    """
    counts = [(each.column, pa.int64()) for each in limited]
    schema = pa.schema([*keys.values(), *((name, pa.float64()) for name in views), *counts])
    statement = join_sql(views, keys=keys, limited=limited, known_at=known_at, in_order=in_order)
    with connection.cursor() as cursor:
        with copy_stream(cursor, statement) as stream:
            yield from read_csv(stream, schema=schema)
        cursor.execute("drop table staged_label")


def join_sql(
    views: Mapping[str, FeatureView],
    *,
    keys: Iterable[str],
    limited: Sequence[NotComputed],
    known_at: datetime | None,
    in_order: bool = False,
) -> sql.Composed:
    """Return the statement of `values_held`: a lateral join for each version, a column for each key, name and count."""
    known = registry_snapshot.get()
    joins = [
        JOIN_HELD.format(
            held=sql.Identifier(view.feature_type),
            hidden=within_any(span for span in known.spans.get(view.key, ()) if span.is_being_backfilled),
            row=ROW_HOLDING.format(
                feature_type=sql.Literal(view.feature_type),
                version=sql.Literal(view.number),
                known_at=sql.Literal(known_at and nearest_in_utc(known_at)),
                lifetime=LIFETIME.format(lifetime=sql.Literal(written_lifetime(view))),
            ),
        )
        for view in {view.key: view for view in views.values()}.values()
    ]
    values = [
        VALUE_COLUMN.format(held=sql.Identifier(view.feature_type), name=sql.Literal(name))
        for name, view in views.items()
    ]
    values += [
        COUNT_NOT_COMPUTED.format(held=sql.Identifier(each.view.feature_type), computed=within_any(each.spans))
        for each in limited
    ]
    return JOIN.format(
        keys=sql.SQL(", ").join(sql.Identifier("entity", key) for key in keys),
        values=sql.SQL(", ").join(values),
        joins=sql.SQL(" ").join(joins),
        order=IN_ORDER if in_order else sql.SQL(""),
    )
