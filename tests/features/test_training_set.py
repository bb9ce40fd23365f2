"""manage.py build_training_set: labels in, Parquet out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from features import refresh, training_set
from tests.factories import make_purchase, store_events

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def write_labels(folder: Path, *lines: str, header: str = "customer_id,timestamp,churned") -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture
def a_purchase(db: None) -> None:
    store_events(make_purchase(timestamp=NOON, amount=25.0))
    refresh.recompute(customer_ids=["c1"], as_of=NOON + timedelta(hours=1))


def test_each_label_gets_what_held_then_and_null_where_nothing_did(
    a_purchase: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_set, "LABELS_PER_QUERY", 2)
    labels = write_labels(
        tmp_path, "c1,2026-03-10T12:30:00Z,0", "c1,2026-03-10T15:00:00+02:00,1", "nobody,2026-03-11T00:00:00Z,0"
    )
    call_command("build_training_set", labels, out=tmp_path / "set.parquet", names="purchase_amount_30d", verbosity=0)
    table = pq.read_table(tmp_path / "set.parquet").to_pydict()
    assert table["purchase_amount_30d"] == [None, 25.0, None]
    assert table["churned"] == ["0", "1", "0"]
    assert table["timestamp"][1] == datetime(2026, 3, 10, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("labels", "header", "sentence"),
    [
        (["c1,2026-03-10,1"], "customer_id,timestamp,churned", "Line 2: '2026-03-10' has no offset, such as Z."),
        (["c1,yesterday,1"], "customer_id,timestamp,churned", "Line 2: 'yesterday' is no ISO 8601 moment."),
        (["a b,2026-03-10T00:00:00Z,1"], "customer_id,timestamp,churned", "Line 2: A customer_id is 1 to 128"),
        ([], "customer,timestamp", "The first line names no column customer_id."),
    ],
)
def test_a_wrong_file_is_one_sentence_and_leaves_no_output(
    db: None, tmp_path: Path, labels: list[str], header: str, sentence: str
) -> None:
    path = write_labels(tmp_path, *labels, header=header)
    with pytest.raises(CommandError, match=sentence.replace(".", r"\.")):
        call_command("build_training_set", path, out=tmp_path / "set.parquet", verbosity=0)
    assert [file.name for file in tmp_path.iterdir()] == ["labels.csv"]


def test_a_missing_file_is_named(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("build_training_set", tmp_path / "none.csv", out=tmp_path / "set.parquet", verbosity=0)
