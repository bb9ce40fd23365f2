"""Training sets: the values that held for each customer at each label's moment, as Parquet.

1. `stage` copies the labels to disk, and their keys to a temporary table.
2. `values_held` joins the keys with the history in one statement, which sees one state of the history throughout.
3. `split` divides the result on disk into parts of consecutive labels.
4. `write` sorts each part and writes it beside its labels.
"""

import glob
import io
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db import connection, transaction
from pyarrow import csv, ipc
from tqdm import tqdm

from featurehub.lib.batched import batched
from featurehub.lib.copying import copying
from featurehub.lib.errors import InvalidError
from features.formulas.view import FeatureView
from features.offline.held_join import NotComputed, values_held, versions_with_a_limit, views_by_name, without_counts
from features.offline.labels import ENCODING, KEYS, Labels

LABELS_PER_BATCH = 50_000
# A part is one batch, or several of a very large file: a file per part is open while the labels are joined.
MAX_PARTS = 500
ABANDONED_AFTER = timedelta(days=1)
POSITION = {"position": pa.field("position", pa.int64())}
STAGE = "create temporary table staged_label (position bigint, customer_id text, moment timestamptz)"
COPY_LABELS = "copy staged_label (position, customer_id, moment) from stdin (format csv)"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """The number of rows that were written, the versions (`behavioral:1.0`) that they are of, and what they lack.

    `not_computed` are the versions that had nobody's values for some of the rows. `left_out` is the number of rows
    that were not written, because the horizon of their label is not over.
    """

    rows: int
    versions: Sequence[str]
    not_computed: Sequence[NotComputed]
    left_out: int = 0


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
    pins = pins_of_views(views)
    with folder_beside(out) as folder, transaction.atomic():
        with labels.open(newline="", encoding=ENCODING) as file:
            given = Labels(file)
            check_columns(given.schema, names=views)
            with bar(total=None, unit="labels", description="Reading") as read:
                staged = stage_labels(given, folder=folder, bar=read)
        rows_per_part = LABELS_PER_BATCH * ceil(staged / LABELS_PER_BATCH / MAX_PARTS)
        lacking = versions_with_a_limit(views, known_at=known_at)
        with bar(total=staged, unit="rows", description="Joining") as joined:
            held = values_held(views, keys=POSITION, limited=lacking, known_at=known_at)
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


@contextmanager
def folder_beside(out: Path) -> Iterator[Path]:
    """Yield a new folder beside the file `out`, which is deleted at the end.

    At the beginning, those that killed processes have left there for the same `out` are deleted.
    """
    prefix = f"{out.name}.partial-"
    for folder in out.parent.glob(f"{glob.escape(prefix)}{'?' * 8}"):
        if is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    with TemporaryDirectory(dir=out.parent, prefix=prefix) as made:
        yield Path(made)


def is_abandoned(folder: Path) -> bool:
    """Return whether nothing was written in a folder for ABANDONED_AFTER; False where it can't be read."""
    try:
        written = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:  # it is somebody else's, or is deleted at this moment
        return False
    return time.time() - written > ABANDONED_AFTER.total_seconds()


def pins_of_views(views: Mapping[str, FeatureView]) -> list[str]:
    """Return the versions, as pins, that the names are read from."""
    return sorted({f"{view.feature_type}:{view.number}" for view in views.values()})


def set_metadata(feature_set: str | None, *, pins: Sequence[str]) -> dict[str, str]:
    """Return the metadata of the Parquet file: the feature set and its versions; nothing without a set."""
    return {} if feature_set is None else {"featurehub.set": feature_set, "featurehub.versions": ",".join(pins)}


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
