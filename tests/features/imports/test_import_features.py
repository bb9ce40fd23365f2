"""import_features: values from good and bad files of every format."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from events.models import DirtyCustomer
from events.tombstones import add_tombstone
from featurehub.files import groups
from featurehub.lib.errors import InvalidError
from features import tasks
from features.imports import writing
from features.imports.rows import ValueRow, bounds_of, check_values, check_values_together
from features.imports.value_files import open_values
from features.materialization.client_values import set_customer_features
from features.models import Customer, CustomerFeature, FeatureDefinition
from features.online.outbox import unpublished
from features.registry.snapshot import registry_snapshot
from tests.factories import ago, cached
from tests.import_files import damage, rejected

pytestmark = pytest.mark.django_db
MOMENT = ago(days=1).replace(microsecond=123456)

Rows = list[dict[str, Any]]


def write_csv(path: Path, rows: Rows) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    path.write_text("".join(",".join(line) + "\n" for line in lines))


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(path: Path, rows: Rows) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)


FORMATS: dict[str, Callable[[Path, Rows], None]] = {
    ".csv": write_csv,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}


def run_import(path: Path, *, feature_type: str = "customer", **options: str) -> str:
    """Return the output of the command, where it succeeds."""
    out = StringIO()
    call_command("import_features", str(path), type=feature_type, stdout=out, **options)
    return out.getvalue()


def failure_of(path: Path, **options: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        run_import(path, **options)
    return caught.value


def values(customer_id: str, feature_type: str = "customer") -> list[dict[str, float]]:
    """Return the values of the history rows, the oldest first."""
    found = CustomerFeature.objects.filter(customer_id=customer_id, feature_type=feature_type)
    return [held.features for held in found.order_by("timestamp", "id")]


@pytest.fixture(params=FORMATS)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Rows], Path]:
    """Return a function that writes rows as a file of one format."""

    def write_rows(rows: Rows) -> Path:
        path = tmp_path / f"values{request.param}"
        FORMATS[request.param](path, rows)
        return path

    return write_rows


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read and write few rows at once."""
    monkeypatch.setattr(groups, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(writing, "CUSTOMERS_PER_TRANSACTION", 2)


@pytest.fixture
def nothing_listed() -> None:
    """Leave no feature on customer lists, so that nothing is computed from what clients write."""
    FeatureDefinition.objects.update(list_place=None)
    registry_snapshot.forget()


def test_a_file_is_written_whatever_its_format(write: Callable[[Rows], Path]) -> None:
    path = write(
        [
            {"customer_id": "c1", "timestamp": MOMENT.isoformat(), "tenure_days": 5, "loyalty_tier": 2.5},
            {"customer_id": "c2", "timestamp": "2026-01-02T03:04:05+02:00", "tenure_days": 7, "loyalty_tier": 1.0},
        ]
    )
    assert "2 accepted, 2 appended, 0 rejected" in run_import(path)
    first, second = CustomerFeature.objects.order_by("customer_id")
    assert (first.customer_id, first.feature_type, first.version) == ("c1", "customer", "1.0")
    assert (first.features, first.metadata, first.timestamp) == ({"tenure_days": 5.0, "loyalty_tier": 2.5}, {}, MOMENT)
    assert second.timestamp == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert set(Customer.objects.values_list("pk", flat=True)) == {"c1", "c2"}
    assert not rejected(path)


def test_without_timestamps_the_values_hold_from_now_on(write: Callable[[Rows], Path]) -> None:
    run_import(write([{"customer_id": "c1", "cart_value": 9.5}]), feature_type="contextual", version="1.0")
    held = CustomerFeature.objects.get()
    assert (held.features, held.feature_type) == ({"cart_value": 9.5}, "contextual")
    assert ago(seconds=30) < held.timestamp <= datetime.now(UTC) + timedelta(seconds=5)


def test_an_empty_cell_leaves_the_value_that_holds(write: Callable[[Rows], Path]) -> None:
    set_customer_features(
        "c1", feature_type="customer", version="1.0", features={"loyalty_tier": 4.0}, metadata={"by": "crm"}
    )
    run_import(write([{"customer_id": "c1", "tenure_days": 5}, {"customer_id": "c2", "loyalty_tier": 1}]))
    assert values("c1")[-1] == {"loyalty_tier": 4.0, "tenure_days": 5.0}
    assert values("c2") == [{"loyalty_tier": 1.0}]
    assert CustomerFeature.objects.filter(customer_id="c1").latest("id").metadata == {"by": "crm"}


def test_running_it_again_changes_nothing(write: Callable[[Rows], Path], few_at_once: None) -> None:
    rows = [{"customer_id": f"c{number % 4}", "tenure_days": number} for number in range(9)]
    moments = [{**row, "timestamp": ago(hours=number).isoformat()} for number, row in enumerate(rows)]
    for each in (rows, moments):
        path = write(each)
        run_import(path)
        before = list(CustomerFeature.objects.order_by("id").values())
        DirtyCustomer.objects.all().delete()
        assert "9 accepted, 0 appended, 0 rejected" in run_import(path)
        assert list(CustomerFeature.objects.order_by("id").values()) == before
        assert not DirtyCustomer.objects.exists()


def test_of_two_rows_with_equal_moments_the_later_one_wins(write: Callable[[Rows], Path], few_at_once: None) -> None:
    others = [{"customer_id": f"o{number}", "tenure_days": 1} for number in range(5)]
    run_import(write([{"customer_id": "c1", "tenure_days": 1}, *others, {"customer_id": "c1", "tenure_days": 2}]))
    assert values("c1") == [{"tenure_days": 2.0}]


def test_older_values_never_win(write: Callable[[Rows], Path]) -> None:
    set_customer_features("c1", feature_type="customer", version="1.0", features={"tenure_days": 10.0})
    run_import(write([{"customer_id": "c1", "timestamp": MOMENT.isoformat(), "tenure_days": 8}]))
    assert values("c1") == [{"tenure_days": 8.0}, {"tenure_days": 10.0}]


def test_the_rows_of_a_customer_are_merged_in_the_order_of_their_moments(
    write: Callable[[Rows], Path], few_at_once: None
) -> None:
    hours = [(10, "loyalty_tier", 3), (30, "tenure_days", 1), (20, "tenure_days", 2)]
    run_import(write([{"customer_id": "c1", "timestamp": ago(hours=h).isoformat(), name: n} for h, name, n in hours]))
    assert values("c1") == [{"tenure_days": 1.0}, {"tenure_days": 2.0}, {"tenure_days": 2.0, "loyalty_tier": 3.0}]


def test_workers_publish_the_customers_who_changed(write: Callable[[Rows], Path], nothing_listed: None) -> None:
    path = write([{"customer_id": f"c{number}", "tenure_days": number} for number in range(3)])
    run_import(path)
    assert (unpublished().count(), DirtyCustomer.objects.exists()) == (1, False)
    tasks.publish_overdue_task()
    assert (cached("c2")["tenure_days"], unpublished().count()) == ("2.0", 0)
    run_import(path)
    assert not unpublished().exists()


def test_customers_are_computed_where_lists_show_what_was_written(write: Callable[[Rows], Path]) -> None:
    FeatureDefinition.objects.filter(name="tenure_days").update(list_place=6)
    registry_snapshot.forget()
    run_import(write([{"customer_id": "c1", "tenure_days": 3}]))
    assert set(DirtyCustomer.objects.values_list("customer_id", flat=True)) == {"c1"}
    tasks.refresh_dirty_task()
    assert cached("c1")["tenure_days"] == "3.0"
    assert not DirtyCustomer.objects.exists()


def test_erased_customers_are_refused_by_row(write: Callable[[Rows], Path], few_at_once: None) -> None:
    add_tombstone("gone")
    rows = [{"customer_id": name, "tenure_days": 1} for name in ("c1", "gone", "c2", "c3", "gone")]
    path = write(rows)
    assert failure_of(path).returncode == 1
    assert [(line["row"], line["attr"], line["data"]["customer_id"]) for line in rejected(path)] == [
        (2, "customer_id", "gone"), (5, "customer_id", "gone"),
    ]  # fmt: skip
    assert "erased" in rejected(path)[0]["reason"]
    assert set(Customer.objects.values_list("pk", flat=True)) == {"c1", "c2", "c3"}


@pytest.mark.parametrize(
    ("changes", "attr", "reason"),
    [
        ({"customer_id": "a/b"}, "customer_id", "slash"),
        ({"customer_id": "x" * 129}, "customer_id", "1 to 128"),
        ({"tenure_days": -1}, "tenure_days", "at least 0"),
        ({"timestamp": "yesterday"}, "timestamp", "moment in ISO 8601"),
        ({"timestamp": "2026-01-02T03:04:05"}, "timestamp", "moment in ISO 8601"),
        ({"timestamp": "1960-01-02T03:04:05Z"}, "timestamp", "1970"),
        ({"timestamp": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, "timestamp", "ahead of the server"),
    ],
)
def test_a_bad_row_is_listed_with_its_number_and_the_others_are_written(
    write: Callable[[Rows], Path], changes: dict[str, Any], attr: str, reason: str
) -> None:
    good = {"customer_id": "c1", "timestamp": MOMENT.isoformat(), "tenure_days": 5}
    path = write([good, {**good, "customer_id": "c2", **changes}, {**good, "customer_id": "c3"}])
    error = failure_of(path)
    assert (error.returncode, rejected(path)[0]["row"], rejected(path)[0]["attr"]) == (1, 2, attr)
    assert reason in rejected(path)[0]["reason"]
    assert str(path) in str(error)
    assert set(Customer.objects.values_list("pk", flat=True)) == {"c1", "c3"}


@pytest.mark.parametrize("cell", ["NaN", "inf", "-Infinity"])
def test_a_number_that_is_not_finite_is_refused(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "values.csv"
    path.write_text(f"customer_id,tenure_days\nc1,{cell}\nc2,1\n")
    assert failure_of(path).returncode == 1
    assert (rejected(path)[0]["attr"], values("c2")) == ("tenure_days", [{"tenure_days": 1.0}])
    assert rejected(path)[0]["reason"] == "The value must be a finite number."


@pytest.mark.parametrize("cell", [float("nan"), float("inf"), float("-inf")])
def test_a_number_in_parquet_that_is_not_finite_is_refused(tmp_path: Path, cell: float) -> None:
    path = tmp_path / "values.parquet"
    pq.write_table(pa.table({"customer_id": ["c1", "c2"], "tenure_days": [cell, 1.0]}), path)
    assert failure_of(path).returncode == 1
    assert rejected(path)[0]["reason"] == "The value must be a finite number."
    assert values("c2") == [{"tenure_days": 1.0}]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("abc", "It must be a number, not 'abc'."),
        ("1e999", "The number is too large."),
        ("1,5", "values for 2 columns"),
        ("true", "not 'true'"),
    ],
)
def test_a_cell_of_csv_that_is_no_number_is_refused(tmp_path: Path, cell: str, reason: str) -> None:
    path = tmp_path / "values.csv"
    path.write_text(f"customer_id,tenure_days\nc1,{cell}\nc2,1\n")
    assert failure_of(path).returncode == 1
    assert reason in rejected(path)[0]["reason"]


@pytest.mark.parametrize(
    ("line", "attr", "reason"),
    [
        ('{"customer_id": "c1", "tenure_days": "5"}', "tenure_days", "It must be a number or null, not a string."),
        ('{"customer_id": "c1", "tenure_days": true}', "tenure_days", "not true or false"),
        ('{"customer_id": "c1", "tenure_day": 5}', "tenure_day", "There is no such field"),
        ('{"tenure_days": 5}', "customer_id", "required"),
        ('{"customer_id": 7, "tenure_days": 5}', "customer_id", "It must be a string"),
        ('{"customer_id": "c1", "tenure_days": NaN}', None, "not JSON"),
        ('{"customer_id": "c1", "tenure_days": null}', None, "The row has no value."),
        ('{"customer_id": "c1", "tenure_days": 5, "tenure_days": 6}', "tenure_days", "given twice in one object"),
        ("[]", None, "It must be an object"),
        ("{", None, "not JSON"),
    ],
)
def test_a_broken_json_line_costs_only_itself(tmp_path: Path, line: str, attr: str | None, reason: str) -> None:
    path = tmp_path / "values.jsonl"
    path.write_text(f'{line}\n\n{{"customer_id": "c2", "tenure_days": 1}}\n')
    assert failure_of(path).returncode == 1
    assert (rejected(path)[0]["row"], rejected(path)[0]["attr"]) == (1, attr)
    assert reason in rejected(path)[0]["reason"]
    assert values("c2") == [{"tenure_days": 1.0}]


@pytest.mark.parametrize(
    ("column", "held"),
    [
        (pa.array([7], pa.int8()), 7.0),
        (pa.array([2**53], pa.int64()), float(2**53)),
        (pa.array([0.5], pa.float32()), 0.5),
        (pa.array([Decimal("9.95")]), 9.95),
    ],
    ids=str,
)
def test_a_column_of_parquet_is_of_any_numbers(tmp_path: Path, column: pa.Array, held: float) -> None:
    path = tmp_path / "values.parquet"
    pq.write_table(pa.table({"customer_id": pa.array([42]), "tenure_days": column}), path)
    run_import(path)
    assert values("42") == [{"tenure_days": held}]


@pytest.mark.parametrize(
    "column",
    [pa.array(["0.5"]), pa.array([True]), pa.array([MOMENT]), pa.array([[0.5]]), pa.array(["a"]).dictionary_encode()],
    ids=lambda column: str(column.type),
)
def test_a_column_of_parquet_that_is_not_of_numbers_is_refused_by_name(tmp_path: Path, column: pa.Array) -> None:
    path = tmp_path / "values.parquet"
    pq.write_table(pa.table({"customer_id": ["c1"], "loyalty_tier": [1.0], "tenure_days": column}), path)
    error = failure_of(path)
    assert error.returncode == 2
    assert f"The column tenure_days in {path} is of the type " in str(error)
    assert "values are numbers" in str(error)
    assert not CustomerFeature.objects.exists()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("values.txt", b"", "has none of the endings .csv, .jsonl, .parquet"),
        ("missing.csv", None, "does not exist: name a file of values"),
        ("empty.csv", b"", "lacks the columns customer_id"),
        ("none.csv", b"customer_id,timestamp\n", "has no column of a feature of customer:1.0, which has"),
        ("typo.csv", b"customer_id,tenure_day,loyalty_tier\n", "tenure_day in"),
        ("twice.csv", b"customer_id,tenure_days,tenure_days\n", "more than one column named tenure_days"),
        ("no.parquet", b"PAR1 it is not", "can't be read"),
    ],
)
def test_a_file_that_cannot_be_imported_ends_with_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    error = failure_of(path)
    assert error.returncode == 2
    assert sentence in str(error)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"feature_type": "customer", "version": "9.9"}, "There is no readable version customer:9.9"),
        ({"feature_type": "customer", "version": ""}, "There is no readable version"),
    ],
)
def test_an_unknown_version_is_named(tmp_path: Path, options: dict[str, str], sentence: str) -> None:
    path = tmp_path / "values.csv"
    path.write_text("customer_id,tenure_days\nc1,1\n")
    error = failure_of(path, **options)
    assert error.returncode == 2
    assert sentence in str(error)


def test_a_parquet_file_that_breaks_off_stores_nothing(tmp_path: Path) -> None:
    path = tmp_path / "values.parquet"
    table = pa.table({"customer_id": [f"c{number}" for number in range(3_000)], "tenure_days": [1.0] * 3_000})
    pq.write_table(table, path, row_group_size=1_000, compression="zstd", use_dictionary=False)
    damage(path, row_group=2, bytes_lost=500)
    error = failure_of(path)
    assert error.returncode == 2
    assert "nothing of the file is stored" in str(error)
    assert not CustomerFeature.objects.exists()


def test_files_without_rows_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("customer_id,tenure_days")
    (tmp_path / "a.jsonl").write_text("\n\n")
    for name in ("a.csv", "a.jsonl"):
        assert "0 accepted, 0 appended, 0 rejected" in run_import(tmp_path / name)


cells = st.sampled_from(["", "5", "5.5", "-1", "nan", "inf", "1e999", "x", " 5", "1_0", "٣", "0x1", "1e5", "-0.0"])


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["c1", "c2", "", "a b", "a/b", "é", "\x7f"]),
            st.sampled_from(["", MOMENT.isoformat(), "now", "0", "1960-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"]),
            cells,
            cells,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_rows_that_are_taken_together_are_what_each_of_them_is(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path / "values.csv"
    lines = [("customer_id", "timestamp", "tenure_days", "loyalty_tier"), *rows]
    path.write_text("".join(",".join(line) + "\n" for line in lines))
    opened = open_values(path, feature_type="customer", version=None)
    read = [row for group in opened.rows.groups() for row in group.rows]
    bounds, now = bounds_of(opened.view, known=opened.known), datetime.now(UTC)

    def together() -> list[ValueRow]:
        found = opened.rows.records(read)
        check_values_together(found, bounds=bounds, now=now)
        return found

    def each() -> list[ValueRow]:
        found = [opened.rows.record(row) for row in read]
        for row in found:
            check_values(row, bounds=bounds, now=now)
        return found

    def outcome(read_all: Callable[[], list[ValueRow]]) -> list[ValueRow] | None:
        try:
            return read_all()
        except InvalidError:
            return None

    assert outcome(together) == outcome(each)
