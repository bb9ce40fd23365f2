"""Training sets without a file of labels: customers × moments, and labels from events.

1. `count_entity_rows` says how many rows there will be, so that too many are refused before they are made.
2. `stage_entity_rows` makes them and their labels in PostgreSQL, in one statement.
3. `values_held` joins them with the history in their order, and each batch is written as it comes.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.db import transaction
from tqdm import tqdm

from featurehub.lib.arrow_csv import MOMENT_TYPE, TEXT_TYPE
from features.formulas.view import FeatureView
from features.offline.entity_rows import EntityRows, count_entity_rows, stage_entity_rows
from features.offline.held_join import (
    Keys,
    NotComputed,
    values_held,
    versions_with_a_limit,
    views_by_name,
    without_counts,
)
from features.offline.training_set import (
    BarFactory,
    TrainingSet,
    check_columns,
    folder_beside,
    no_bar,
    pins_of_views,
    set_metadata,
)

ROW_KEYS = {"customer_id": pa.field("customer_id", TEXT_TYPE), "moment": pa.field("timestamp", MOMENT_TYPE)}
LABEL_KEY = {"label": pa.field("label", pa.int8())}


def build_from_events(
    rows: EntityRows,
    *,
    out: Path,
    names: Sequence[str] | None = None,
    versions: Sequence[str] = (),
    feature_set: str | None = None,
    known_at: datetime | None = None,
    bar: BarFactory = no_bar,
) -> TrainingSet:
    """Join the rows to the features that held at their moments, and return what was written.

    `out` has customer_id, timestamp, label (0 or 1) where there is one, and the features, in the order of customers
    and moments. Other arguments and missing values are those of `build_training_set`; `known_at` is about values, not
    about the events that rows and labels are made of. Memory is bounded; `out` appears when it is complete. Raises
    InvalidError for too many rows, UnknownError for a name, version or set that can't be read.
    """
    views = views_by_name(names, versions=versions, feature_set=feature_set)
    keys = ROW_KEYS if rows.label is None else ROW_KEYS | LABEL_KEY
    check_columns(pa.schema(keys.values()), names=views)
    pins = pins_of_views(views)
    expected, left_out = count_entity_rows(rows)
    metadata = set_metadata(feature_set, pins=pins) | label_metadata(rows, left_out=left_out)
    with folder_beside(out) as folder, transaction.atomic():
        with bar(total=expected, unit="rows", description="Reading") as read:
            staged = stage_entity_rows(rows)
            read.update(staged)
        lacking = versions_with_a_limit(views, known_at=known_at)
        complete = folder / "complete.parquet"
        with bar(total=staged, unit="rows", description="Joining") as joined:
            write_in_order(
                complete, views=views, keys=keys, lacking=lacking, known_at=known_at, metadata=metadata, bar=joined
            )
        complete.replace(out)
    short = [each for each in lacking if each.rows]
    return TrainingSet(rows=staged, versions=pins, not_computed=short, left_out=left_out)


def label_metadata(rows: EntityRows, *, left_out: int) -> dict[str, str]:
    """Return the label and the number of rows that are left out, as metadata; nothing without a label."""
    return {} if rows.label is None else {"featurehub.label": str(rows.label), "featurehub.left_out": str(left_out)}


def write_in_order(
    complete: Path,
    *,
    views: dict[str, FeatureView],
    keys: Keys,
    lacking: Sequence[NotComputed],
    known_at: datetime | None,
    metadata: dict[str, str],
    bar: "tqdm[Any]",
) -> None:
    """Join the staged rows with the values that held, and write each batch as it comes."""
    held = values_held(views, keys=keys, limited=lacking, known_at=known_at, in_order=True)
    values = ((name, pa.float64()) for name in views)
    schema = pa.schema([*keys.values(), *values], metadata=metadata or None)
    with pq.ParquetWriter(complete, schema) as writer:
        for batch in without_counts(held, lacking=lacking):
            writer.write_batch(batch)
            bar.update(batch.num_rows)


def training_table(
    rows: EntityRows,
    *,
    names: Sequence[str] | None = None,
    versions: Sequence[str] = (),
    feature_set: str | None = None,
    known_at: datetime | None = None,
) -> pa.Table:
    """Return what `build_from_events` writes, in memory: 8 bytes a value.

    The metadata of its schema has, where some rows have no values of a version as nobody's were computed, the number of
    these rows (`featurehub.not_computed`).
    """
    with TemporaryDirectory(prefix="training-set-") as folder:
        out = Path(folder) / "set.parquet"
        made = build_from_events(
            rows, out=out, names=names, versions=versions, feature_set=feature_set, known_at=known_at
        )
        table = pq.read_table(out)
    lacking = [f"{each.view.feature_type}:{each.view.number}: {each.rows}" for each in made.not_computed]
    known = table.schema.metadata or {}
    return (
        table.replace_schema_metadata({**known, b"featurehub.not_computed": ", ".join(lacking)}) if lacking else table
    )
