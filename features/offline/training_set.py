"""Training sets: the values that held for each customer at each label's moment, as Parquet.

1. `stage` copies the labels to disk, and their keys to a temporary table.
2. `values_held` joins the keys with the history in one statement, which sees one state of the history throughout.
   It goes through them customer by customer, so that the index and the rows of a customer are read once and need
   not fit into memory.
3. `split` divides the result on disk into parts of consecutive labels.
4. `write` sorts each part and writes it beside its labels.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db import connection, transaction
from psycopg import sql
from pyarrow import csv, ipc
from tqdm import tqdm

from featurehub.lib.batched import batched
from featurehub.lib.clock import nearest_in_utc
from featurehub.lib.copying import copy_stream, copying
from featurehub.lib.errors import InvalidError, UnknownError
from featurehub.lib.parquet import read_csv
from features.formulas.view import FeatureView
from features.offline.as_of import ROW_HOLDING, written_lifetime
from features.offline.labels import ENCODING, KEYS, Labels
from features.registry.contents import Span, resolve_pins
from features.registry.feature_sets import select_features
from features.registry.snapshot import registry_snapshot

LABELS_PER_BATCH = 50_000
# A part is one batch, or several of a very large file: a file per part is open while the labels are joined.
MAX_PARTS = 500
POSITION = ("position", pa.int64())
STAGE = "create temporary table staged_label (position bigint, customer_id text, moment timestamptz)"
COPY_LABELS = "copy staged_label (position, customer_id, moment) from stdin (format csv)"
JOIN = sql.SQL(
    """
copy (
    select entity.position, {values}
    from (select * from staged_label order by customer_id, moment) entity {joins}
) to stdout (format csv)
"""
)
JOIN_HELD = sql.SQL("left join lateral ({row}) {held} on not {held}.has_expired and not ({hidden})")
WITHIN = sql.SQL("(entity.moment >= {since} and entity.moment < coalesce({until}, timestamptz 'infinity'))")
COUNT_NOT_COMPUTED = sql.SQL("({held}.features is null and not ({computed}))::int")
FIRST_NOT_COMPUTED = sql.SQL("select min(moment) from staged_label entity where not ({computed})")
LIFETIME = sql.SQL("{lifetime}::interval")
VALUE_COLUMN = sql.SQL("{held}.features ->> {name}")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """The number of rows that were written, the versions (`behavioral:1.0`) that they are of, and what they lack.

    `not_computed` are the versions that had nobody's values for some of the rows.
    """

    rows: int
    versions: Sequence[str]
    not_computed: Sequence[NotComputed]


# Returns the progress bar of a step, as featurehub.lib.progress.progress_bar does.
BarFactory = Callable[..., "tqdm[Any]"]


def no_bar(**described: object) -> "tqdm[Any]":
    """Return a progress bar that shows nothing."""
    return tqdm(disable=True)


def build_training_set(
    labels: Path,
    *,
    out: Path,
    names: Sequence[str] | None = None,
    versions: Sequence[str] = (),
    feature_set: str | None = None,
    known_at: datetime | None = None,
    bar: BarFactory = no_bar,
) -> TrainingSet:
    """Join a CSV of labels to the features that held at their moments, and return what was written.

    The CSV has the columns customer_id and timestamp; `out` has its rows in their order, its other columns as text.
    `names` None stands for all names of the versions; `feature_set` (`churn_model:3`) takes the place of both, and is
    kept with its versions in the file's metadata. A feature without a value is null, because a model should
    distinguish missing from zero; so is one of a version that has nobody's values at the moment. Memory is bounded by
    LABELS_PER_BATCH; `out` appears when it is complete. Raises InvalidError with the number of an invalid line,
    UnknownError for a name, version or set that can't be read.
    """
    views = views_by_name(names, versions=versions, feature_set=feature_set)
    pins = sorted({f"{view.feature_type}:{view.number}" for view in views.values()})
    with TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.partial-") as partial, transaction.atomic():
        folder = Path(partial)
        with labels.open(newline="", encoding=ENCODING) as file:
            given = Labels(file)
            check_columns(given.schema, names=views)
            with bar(total=None, unit="labels", description="Reading") as read:
                staged = stage_labels(given, folder=folder, bar=read)
        rows_per_part = LABELS_PER_BATCH * ceil(staged / LABELS_PER_BATCH / MAX_PARTS)
        lacking = versions_with_a_limit(views, known_at=known_at)
        with bar(total=staged, unit="rows", description="Joining") as joined:
            held = values_held(views, limited=lacking, known_at=known_at)
            split_into_parts(
                without_counts(held, lacking=lacking), folder=folder, rows_per_part=rows_per_part, bar=joined
            )
        with bar(total=staged, unit="rows", description="Writing") as written:
            complete = write_parquet(
                folder,
                names=list(views),
                rows_per_part=rows_per_part,
                bar=written,
                metadata=set_metadata(feature_set, pins=pins),
            )
        complete.replace(out)
    return TrainingSet(rows=staged, versions=pins, not_computed=[each for each in lacking if each.rows])


def versions_with_a_limit(views: Mapping[str, FeatureView], *, known_at: datetime | None) -> list[NotComputed]:
    """Return the versions that have nobody's values at the moments of some labels, their rows not counted yet."""
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
    """Return the condition that the moment of a label is in one of the ranges."""
    parts = [WITHIN.format(since=sql.Literal(span.since), until=sql.Literal(span.until)) for span in spans]
    return sql.SQL(" or ").join(parts) if parts else sql.Composed([sql.SQL("false")])


def without_counts(batches: Iterable[pa.RecordBatch], *, lacking: Sequence[NotComputed]) -> Iterator[pa.RecordBatch]:
    """Yield the batches without the columns that count the rows of these versions which are not computed."""
    for batch in batches:
        for each in lacking:
            each.rows += pc.sum(batch[each.column]).as_py() or 0
        yield batch.drop_columns([each.column for each in lacking]) if lacking else batch


def set_metadata(feature_set: str | None, *, pins: Sequence[str]) -> dict[str, str]:
    """Return the metadata of the Parquet file: the feature set and its versions; nothing without a set."""
    return {} if feature_set is None else {"featurehub.set": feature_set, "featurehub.versions": ",".join(pins)}


def views_by_name(
    names: Sequence[str] | None, *, versions: Sequence[str], feature_set: str | None = None
) -> dict[str, FeatureView]:
    """Return name → version that it is read from, in the order in which they are named.

    Raises UnknownError for a name that is in none of them.
    """
    registry = registry_snapshot.get()
    chosen = select_features(names, versions=versions, feature_set=feature_set, known=registry)
    views = resolve_pins(chosen.pins, known=registry)
    known = {name: view for view in views.values() for name in view.names}
    wanted = sorted(known) if chosen.names is None else chosen.names
    for name in wanted:
        if name not in known:
            close = get_close_matches(name, sorted(known), n=1)
            suggestion = f" Did you mean {close[0]}?" if close else ""
            raise UnknownError(f"There is no feature {name} in the versions that are read.{suggestion}", attr="names")
    return {name: known[name] for name in wanted}


def check_columns(schema: pa.Schema, *, names: Iterable[str]) -> None:
    """Raise InvalidError where a column of the labels has the name of a feature."""
    for name in names:
        if name in schema.names:
            raise InvalidError(f"The labels have a column {name}, which is also the name of a feature.")


def stage_labels(labels: Labels, *, folder: Path, bar: "tqdm[Any]") -> int:
    """Copy the labels to disk and their keys to a temporary table, and return the number of labels."""
    rows = 0
    options = csv.WriteOptions(include_header=False)
    with ipc.new_file(folder / "labels", labels.schema) as file, connection.cursor() as cursor:
        cursor.execute(STAGE)
        with copying(cursor, COPY_LABELS) as copy:
            for batch in labels.batches(rows=LABELS_PER_BATCH):
                file.write(batch)
                positions = pa.array(range(rows, rows + batch.num_rows))
                block = io.BytesIO()
                keys = batch.select(list(KEYS)).add_column(0, "position", positions)
                csv.write_csv(keys, block, write_options=options)
                copy.write(block.getvalue())
                rows += batch.num_rows
                bar.update(batch.num_rows)
    return rows


def values_held(
    views: Mapping[str, FeatureView], *, limited: Sequence[NotComputed], known_at: datetime | None
) -> Iterator[pa.RecordBatch]:
    """Yield the position and the values that held of each staged label, in any order; one statement.

    For each `limited` version, a further column is 1 where the row has no values as nobody has any.
    """
    counts = [(each.column, pa.int64()) for each in limited]
    schema = pa.schema([POSITION, *((name, pa.float64()) for name in views), *counts])
    with connection.cursor() as cursor:
        with copy_stream(cursor, join_sql(views, limited=limited, known_at=known_at)) as stream:
            yield from read_csv(stream, schema=schema)
        cursor.execute("drop table staged_label")


def join_sql(
    views: Mapping[str, FeatureView], *, limited: Sequence[NotComputed], known_at: datetime | None
) -> sql.Composed:
    """Return the statement of `values_held`: a lateral join for each version, a column for each name and count."""
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
    return JOIN.format(values=sql.SQL(", ").join(values), joins=sql.SQL(" ").join(joins))


def split_into_parts(batches: Iterable[pa.RecordBatch], *, folder: Path, rows_per_part: int, bar: "tqdm[Any]") -> None:
    """Write each row to the file of the part that its position is in."""
    files: dict[int, ipc.RecordBatchFileWriter] = {}
    with ExitStack() as opened:
        for batch in batches:
            parts = pc.divide(batch["position"], rows_per_part)
            for part in pc.unique(parts).to_pylist():
                if part not in files:
                    files[part] = opened.enter_context(ipc.new_file(folder / f"part-{part}", batch.schema))
                files[part].write(batch.filter(pc.equal(parts, part)))
            bar.update(batch.num_rows)


def write_parquet(
    folder: Path, *, names: Sequence[str], rows_per_part: int, bar: "tqdm[Any]", metadata: Mapping[str, str]
) -> Path:
    """Write the labels with their values beside them, in the order of the labels, and return the file."""
    complete = folder / "complete.parquet"
    with ipc.open_file(str(folder / "labels")) as labels:
        schema = pa.schema([*labels.schema, *((name, pa.float64()) for name in names)], metadata=metadata or None)
        batches = map(labels.get_batch, range(labels.num_record_batches))
        with pq.ParquetWriter(complete, schema) as writer:
            for part, rows in enumerate(batched(batches, rows_per_part // LABELS_PER_BATCH)):
                with ipc.open_file(str(folder / f"part-{part}")) as file:
                    values = file.read_all().sort_by("position").select(names)
                columns = [*pa.Table.from_batches(rows).columns, *values.columns]
                writer.write_table(pa.table(columns, schema=schema))
                bar.update(values.num_rows)
    return complete
