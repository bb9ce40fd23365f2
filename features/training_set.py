"""A training set from labels: the values that held of each customer at each label's moment, as Parquet."""

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from events.validation import check_customer_id
from featurehub.errors import FeatureHubError, InvalidError
from features.as_of import Entity, TrainingRow, as_of_join
from features.store import batched

LABELS_PER_QUERY = 10_000
KEYS = ("customer_id", "timestamp")
Label = dict[str, str]


def build_training_set(
    labels: Path,
    *,
    out: Path,
    names: Sequence[str],
    versions: Sequence[str] = (),
    known_at: datetime | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> int:
    """Joins a CSV with the columns customer_id and timestamp to the features that held then. Returns the rows.

    Other columns are kept as text. A feature without a value is null: a model should know missing from zero. Memory is
    bounded by LABELS_PER_QUERY. `out` appears when it is complete. Raises InvalidError with the line that is wrong.
    """
    partial = out.with_name(f"{out.name}.partial")
    with labels.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = check_header(reader.fieldnames)
        schema = pa.schema(
            [
                ("customer_id", pa.string()),
                ("timestamp", pa.timestamp("us", tz="UTC")),
                *((name, pa.string()) for name in columns),
                *((name, pa.float64()) for name in names),
            ]
        )
        rows = 0
        try:
            with pq.ParquetWriter(partial, schema) as writer:
                for chunk in batched(checked(reader), LABELS_PER_QUERY):
                    entities = [entity for _, entity in chunk]
                    held = as_of_join(entities, names=names, versions=versions, known_at=known_at)
                    table = as_columns([label for label, _ in chunk], held, columns=columns, names=names)
                    writer.write_table(pa.table(table, schema=schema))
                    rows += len(chunk)
                    progress(len(chunk))
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    partial.replace(out)
    return rows


def check_header(header: Sequence[str] | None) -> list[str]:
    """The columns beside the keys. Raises InvalidError where a key is missing."""
    missing = [name for name in KEYS if name not in (header or ())]
    if missing:
        raise InvalidError(f"The first line names no column {' and no column '.join(missing)}.")
    return [name for name in header or () if name not in KEYS]


def checked(reader: "csv.DictReader[str]") -> Iterator[tuple[Label, Entity]]:
    """Each label with its customer and moment. Raises InvalidError with the line."""
    for label in reader:
        try:
            customer_id = label["customer_id"] or ""
            check_customer_id(customer_id)
            yield label, Entity(customer_id, moment(label["timestamp"] or ""))
        except FeatureHubError as error:
            raise InvalidError(f"Line {reader.line_num}: {error.detail}") from None


def moment(text: str) -> datetime:
    """An ISO 8601 moment with an offset. Raises InvalidError for anything else."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"{text!r} is no ISO 8601 moment.") from None
    if parsed.tzinfo is None:
        raise InvalidError(f"{text!r} has no offset, such as Z.")
    return parsed


def as_columns(
    labels: Sequence[Label], rows: Sequence[TrainingRow], *, columns: Sequence[str], names: Sequence[str]
) -> dict[str, list[object]]:
    """A chunk as columns; null where a value is missing."""
    table: dict[str, list[object]] = {
        "customer_id": [row.entity.customer_id for row in rows],
        "timestamp": [row.entity.timestamp for row in rows],
    }
    for name in columns:
        table[name] = [label[name] for label in labels]
    for name in names:
        table[name] = [None if name in row.missing else row.features[name] for row in rows]
    return table
