"""manage.py build_training_set: labels in, Parquet out."""

import os
import time
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from features.lifecycle.feature_sets import make_feature_set
from features.materialization import recompute
from features.materialization.locks import database_now
from features.models import CustomerFeature, FeatureVersion
from features.offline import training_set
from features.offline.labels import Labels
from tests.factories import forget_registry, make_definition, make_purchase, make_version, store_events

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def write_labels(folder: Path, *lines: str, header: str = "customer_id,timestamp") -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def build(folder: Path, *lines: str, header: str = "customer_id,timestamp", **options: Any) -> dict[str, list[Any]]:
    """Return the columns of the training set that the command builds from these labels."""
    out = folder / "set.parquet"
    call_command("build_training_set", write_labels(folder, *lines, header=header), out=out, verbosity=0, **options)
    table: dict[str, list[Any]] = pq.read_table(out).to_pydict()
    return table


def make_row(
    customer_id: str = "c1", *, feature_type: str = "contextual", version: str = "1.0", **features: float
) -> CustomerFeature:
    """Append a history row that holds from NOON on."""
    return CustomerFeature.objects.create(
        customer_id=customer_id, feature_type=feature_type, version=version, timestamp=NOON, features=features
    )


@pytest.fixture
def a_purchase(db: None) -> None:
    store_events(make_purchase(timestamp=NOON, amount=25.0))
    recompute.recompute_customers(customer_ids=["c1"], as_of=NOON + timedelta(hours=1))


def test_each_label_gets_what_held_then_and_null_where_nothing_did(a_purchase: None, tmp_path: Path) -> None:
    table = build(
        tmp_path,
        "c1,2026-03-10T12:30:00Z,0",
        "c1,2026-03-10T15:00:00+02:00,1",
        "nobody,2026-03-11T00:00:00Z,0",
        header="customer_id,timestamp,churned",
        names="purchase_amount_30d, rfm_score",
    )
    assert list(table) == ["customer_id", "timestamp", "churned", "purchase_amount_30d", "rfm_score"]
    assert table["purchase_amount_30d"] == [None, 25.0, None]
    assert table["churned"] == ["0", "1", "0"]
    assert table["timestamp"][1] == datetime(2026, 3, 10, 13, tzinfo=UTC)


def test_the_rows_are_in_the_order_of_the_labels_however_many_parts_they_make(
    db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_set, "LABELS_PER_BATCH", 7)
    customers = [f"c{number}" for number in range(10)]
    for number, customer_id in enumerate(customers):
        make_row(customer_id, cart_value=float(number))
    drawn = Random(1).choices([*customers, "nobody"], k=100)
    table = build(tmp_path, *(f"{customer_id},{NOON.isoformat()}" for customer_id in drawn), names="cart_value")
    assert table["customer_id"] == drawn
    assert table["cart_value"] == [None if name == "nobody" else float(name[1:]) for name in drawn]


def test_the_files_that_are_open_at_once_are_bounded(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "LABELS_PER_BATCH", 1)
    monkeypatch.setattr(training_set, "MAX_PARTS", 4)
    make_row(cart_value=1.0)
    moments = [NOON + timedelta(days=number - 5) for number in range(11)]
    table = build(tmp_path, *(f"c1,{moment.isoformat()}" for moment in moments), names="cart_value")
    assert table["timestamp"] == moments
    assert table["cart_value"] == [None] * 5 + [1.0] * 6


def test_a_file_without_labels_makes_a_set_without_rows(db: None, tmp_path: Path) -> None:
    assert build(tmp_path, names="cart_value") == {"customer_id": [], "timestamp": [], "cart_value": []}


def test_what_a_killed_process_left_is_deleted_a_day_later(db: None, tmp_path: Path) -> None:
    two_days_ago = time.time() - 2 * 86_400
    names = ("set.parquet.partial-killed_1", "set.parquet.partial-at_work1", "another.parquet.partial-killed_1")
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "labels").touch()
        os.utime(folder / "labels", (two_days_ago, time.time() if "at_work" in name else two_days_ago))
        os.utime(folder, (two_days_ago, two_days_ago))
    build(tmp_path, names="cart_value")
    assert {path.name for path in tmp_path.glob("*.partial-*")} == set(names[1:])


def test_other_columns_are_kept_to_the_letter(db: None, tmp_path: Path) -> None:
    texts = ["plain", "", '"a ""quoted"", one"', '"two\nlines"', "ünïcode \\N \\.", "\x00"]
    table = build(
        tmp_path, *(f"{text},{NOON.isoformat()},ç€1" for text in texts), header="\ufeffnote,timestamp,customer_id"
    )
    assert table["note"] == ["plain", "", 'a "quoted", one', "two\nlines", "ünïcode \\N \\.", "\x00"]
    assert table["customer_id"] == ["ç€1"] * 6


def test_all_features_of_the_live_versions_are_joined_where_none_are_named(a_purchase: None, tmp_path: Path) -> None:
    make_definition("of_no_version", "behavioral")
    table = build(tmp_path, "c1,2026-03-11T00:00:00Z")
    assert {"engagement_score", "rfm_score", "cart_value", "tenure_days"} < set(table)
    assert "of_no_version" not in table


def test_a_pinned_version_is_read_with_the_names_it_has(db: None, tmp_path: Path) -> None:
    make_version("behavioral", "2.0", state="shadow", purchases_7d={"kind": "count", "window": "7d"})
    make_row(feature_type="behavioral", version="2.0", purchases_7d=1.0, purchases_30d=2.0)
    make_row(feature_type="behavioral", version="1.0", purchases_30d=3.0)
    label = "c1,2026-03-11T00:00:00Z"
    table = build(tmp_path, label, versions=["2.0"])
    assert (table["purchases_7d"], table["purchases_30d"], table["cart_value"]) == ([1.0], [2.0], [None])
    assert build(tmp_path, label)["purchases_30d"] == [3.0]
    assert "purchases_7d" not in build(tmp_path, label)


def test_what_was_recorded_later_is_not_known(db: None, tmp_path: Path) -> None:
    make_row(cart_value=1.0)
    before = database_now()
    make_row(cart_value=2.0)
    label = f"c1,{NOON.isoformat()}"
    assert build(tmp_path, label, names="cart_value")["cart_value"] == [2.0]
    assert build(tmp_path, label, names="cart_value", known_at=before.isoformat())["cart_value"] == [1.0]


def test_rows_that_postgresql_compresses_are_read(db: None, tmp_path: Path) -> None:
    make_row(cart_value=3.0, **{f"another_feature_{number:04d}": number / 7 for number in range(1_000)})
    assert build(tmp_path, f"c1,{NOON.isoformat()}", names="cart_value")["cart_value"] == [3.0]


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_values_are_those_of_the_history_bit_for_bit(
    db: None, tmp_path_factory: pytest.TempPathFactory, value: float
) -> None:
    row = make_row(cart_value=value)
    row.refresh_from_db()
    table = build(tmp_path_factory.mktemp("set"), f"c1,{NOON.isoformat()}", names="cart_value")
    assert [number.hex() for number in table["cart_value"]] == [float(row.features["cart_value"]).hex()]


@given(moment=st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), offset=st.integers(-720, 720))  # noqa: DTZ001
def test_moments_keep_their_microseconds(moment: datetime, offset: int) -> None:
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    file = StringIO(f"customer_id,timestamp\nc1,{moment.isoformat()}\n")
    (batch,) = Labels(file).batches(rows=10)
    assert batch.to_pylist() == [{"customer_id": "c1", "timestamp": moment}]


@pytest.mark.parametrize(
    ("lines", "header", "sentence"),
    [
        (
            ["c1,2026-03-10,1"],
            "customer_id,timestamp,churned",
            "Line 2: '2026-03-10' is not an ISO 8601 moment with an offset, such as 2026-01-31T12:00:00Z.",
        ),
        (
            ["c1,yesterday,1"],
            "customer_id,timestamp,churned",
            "Line 2: 'yesterday' is not an ISO 8601 moment with an offset, such as 2026-01-31T12:00:00Z.",
        ),
        (["c1,1969-12-31T00:00:00Z"], "customer_id,timestamp", "Line 2: A moment is one from 1970 to 9999 in UTC."),
        (["a b,2026-03-10T00:00:00Z,1"], "customer_id,timestamp,churned", "Line 2: A customer_id is 1 to 128"),
        (
            ["c1,2026-03-10T00:00:00Z", "", '"c1\n","2026-03-10T00:00:00Z"'],
            "customer_id,timestamp",
            "Line 5: A customer_id is 1 to 128",
        ),
        (["c1,2026-03-10T00:00:00Z", "c1"], "customer_id,timestamp", "Line 3: It has 1 values for 2 columns."),
        (["c1,2026-03-10T00:00:00Z,1"], "customer_id,timestamp", "Line 2: It has 3 values for 2 columns."),
        ([f'c1,"{"x" * 200_000}'], "customer_id,timestamp", "Line 2: It can't be read as CSV: is there"),
        ([], "customer,timestamp", "The header has no column customer_id."),
        ([], "", "The header has no column customer_id and no column timestamp."),
        ([], "customer_id,timestamp,a,a", "The header has the column a twice."),
        (
            [],
            "customer_id,timestamp,rfm_score",
            "The labels have a column rfm_score, which is also the name of a feature",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence_and_leaves_no_output(
    db: None, tmp_path: Path, lines: list[str], header: str, sentence: str
) -> None:
    with pytest.raises(CommandError) as refused:
        build(tmp_path, *lines, header=header)
    assert str(refused.value).startswith(sentence)
    assert [file.name for file in tmp_path.iterdir()] == ["labels.csv"]


def test_a_file_that_is_not_utf8_is_one_sentence(db: None, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"customer_id,timestamp\nc\xff,2026-03-10T00:00:00Z\n")
    with pytest.raises(CommandError, match=r"^The file is not UTF-8\.$"):
        call_command("build_training_set", path, out=tmp_path / "set.parquet", verbosity=0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"names": "rfm_scor"}, "There is no feature rfm_scor in the versions that are read. Did you mean rfm_score?"),
        ({"names": "cart_value,"}, "There is no feature  in the versions that are read."),
        (
            {"versions": ["behavioral:9"]},
            "There is no readable version behavioral:9; the readable ones are behavioral:1.0.",
        ),
        ({"known_at": "now"}, "'now' is not an ISO 8601 moment with an offset, such as 2026-01-31T12:00:00Z."),
    ],
)
def test_what_can_not_be_joined_is_one_sentence(
    db: None, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CommandError) as refused:
        build(tmp_path, f"c1,{NOON.isoformat()}", **options)
    assert str(refused.value) == sentence


def test_a_missing_file_is_named(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("build_training_set", tmp_path / "none.csv", out=tmp_path / "set.parquet", verbosity=0)


def test_the_steps_show_their_progress(a_purchase: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = write_labels(tmp_path, "c1,2026-03-11T00:00:00Z")
    call_command("build_training_set", labels, out=tmp_path / "set.parquet")
    shown = capsys.readouterr()
    assert all(f"{step}: " in shown.err for step in ("Reading", "Joining", "Writing"))
    assert shown.out == f"1 rows were written to {tmp_path / 'set.parquet'}\n"


def test_what_had_expired_at_the_labels_moment_is_null(db: None, tmp_path: Path) -> None:
    FeatureVersion.objects.filter(feature_type="contextual").update(time_to_live=3600)
    forget_registry()
    make_row(cart_value=9.0)
    table = build(tmp_path, "c1,2026-03-10T13:00:00Z", "c1,2026-03-10T13:00:00.000001Z", names="cart_value")
    assert table["cart_value"] == [9.0, None]


# --- By a feature set -------------------------------------------------------------------------------------------------


def test_a_set_gives_the_columns_and_the_file_says_which_set_it_is_of(db: None, tmp_path: Path) -> None:
    make_row(cart_value=3.0)
    make_feature_set("churn_model", names=["rfm_score", "cart_value"])
    forget_registry()
    table = build(
        tmp_path, f"c1,{NOON.isoformat()},1", header="customer_id,timestamp,churned", feature_set="churn_model:1"
    )
    assert list(table) == ["customer_id", "timestamp", "churned", "rfm_score", "cart_value"]
    assert table["cart_value"] == [3.0]
    metadata = pq.read_schema(tmp_path / "set.parquet").metadata
    assert metadata[b"featurehub.set"] == b"churn_model:1"
    assert metadata[b"featurehub.versions"] == b"contextual:1.0,derived:1.0"


def test_a_set_keeps_the_version_that_it_was_made_with(db: None, tmp_path: Path) -> None:
    make_row(cart_value=3.0)
    make_feature_set("churn_model", names=["cart_value"])
    make_version("contextual", state="live")
    make_row(version="2.0", cart_value=7.0)
    assert build(tmp_path, f"c1,{NOON.isoformat()}", names="cart_value")["cart_value"] == [7.0]
    assert build(tmp_path, f"c1,{NOON.isoformat()}", feature_set="churn_model:1")["cart_value"] == [3.0]


def test_the_command_says_of_which_versions_it_is(db: None, tmp_path: Path) -> None:
    make_feature_set("churn_model", names=["cart_value"])
    forget_registry()
    said = StringIO()
    out = tmp_path / "set.parquet"
    call_command("build_training_set", write_labels(tmp_path), f"--out={out}", "--set=churn_model:1", stdout=said)
    assert said.getvalue() == f"0 rows were written to {out}, of churn_model:1: contextual:1.0\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"feature_set": "churn_model:1", "names": "cart_value"}, "give either a set, or names and versions"),
        ({"feature_set": "churn_model:1", "versions": ["1.0"]}, "give either a set, or names and versions"),
        ({"feature_set": "churn_model:2"}, "There is no feature set churn_model:2. churn_model has the number 1."),
    ],
)
def test_a_set_beside_names_or_one_that_is_not_there_is_refused(
    db: None, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    make_feature_set("churn_model", names=["cart_value"])
    forget_registry()
    with pytest.raises(CommandError, match=sentence):
        build(tmp_path, **options)
