"""import_events: good and bad files of every format."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from events.imports import batches
from events.imports.batches import ROWS_PER_BATCH
from events.imports.fields import FIELDS
from events.imports.importing import open_events
from events.models import DirtyCustomer, Event
from events.tombstones import add_tombstone
from events.validation import EARLIEST, NewEvent, check_each, check_event, check_together
from featurehub.files import groups
from featurehub.files.row_files import prefetched
from featurehub.lib.errors import InvalidError
from tests.factories import ago
from tests.import_files import damage, rejected

pytestmark = pytest.mark.django_db
CDNOW = Path(__file__).parents[3] / "shared/data/cdnow_master.txt"
MOMENT = ago(days=1).replace(microsecond=123456)
GOOD = {"customer_id": "c1", "event_type": "login", "timestamp": MOMENT.isoformat()}

Rows = list[dict[str, Any]]


def write_csv(path: Path, rows: Rows) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name, "") for name in names] for row in rows]
    lines = [names, *([json.dumps(c) if isinstance(c, dict) else str(c) for c in line] for line in cells)]
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines]
    path.write_text("\n".join(quoted) + "\n")


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(with_further_in_metadata(row)) + "\n" for row in rows))


def with_further_in_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row as an event, whose further values stand in its metadata."""
    further = {name: value for name, value in row.items() if name not in FIELDS}
    metadata = row.get("metadata", {})
    if not further or not isinstance(metadata, dict):
        return {name: value for name, value in row.items() if name in FIELDS}
    return {**{name: row[name] for name in row if name in FIELDS}, "metadata": {**metadata, **further}}


def write_parquet(path: Path, rows: Rows) -> None:
    texts = [{n: json.dumps(v) if isinstance(v, dict) else v for n, v in row.items()} for row in rows]
    names = list(dict.fromkeys(name for row in texts for name in row))
    pq.write_table(pa.table({name: [row.get(name) for row in texts] for name in names}), path)


FORMATS: dict[str, Callable[[Path, Rows], None]] = {
    ".csv": write_csv,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}


def run_import(path: Path) -> str:
    """Return the output of the command, where it succeeds."""
    out = StringIO()
    call_command("import_events", str(path), stdout=out)
    return out.getvalue()


def failure_of(path: Path) -> CommandError:
    with pytest.raises(CommandError) as caught:
        run_import(path)
    return caught.value


@pytest.fixture(params=FORMATS)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Rows], Path]:
    """Return a function that writes rows as a file of one format."""

    def write_rows(rows: Rows) -> Path:
        path = tmp_path / f"events{request.param}"
        FORMATS[request.param](path, rows)
        return path

    return write_rows


def test_a_file_is_stored_whatever_its_format(write: Callable[[Rows], Path]) -> None:
    path = write(
        [
            {
                "event_id": "e1", "customer_id": "c1", "event_type": "purchase", "timestamp": MOMENT.isoformat(),
                "session_id": "s1", "metadata": {"amount": 12.5, "category": "jazz", "sku": 7},
            },
            {"event_id": "e2", "customer_id": "c2", "event_type": "login", "timestamp": "2026-01-02T03:04:05+02:00"},
        ]
    )  # fmt: skip
    assert "2 accepted, 0 duplicates, 0 rejected" in run_import(path)
    first, second = Event.objects.order_by("event_id")
    assert (first.customer_id, first.event_type, first.timestamp) == ("c1", "purchase", MOMENT)
    assert (first.session_id, first.amount, first.category) == ("s1", 12.5, "jazz")
    assert first.metadata == {"amount": 12.5, "category": "jazz", "sku": 7}
    assert second.timestamp == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert (second.session_id, second.amount, second.category, second.metadata) == (None, None, None, {})
    assert set(DirtyCustomer.objects.values_list("customer_id", flat=True)) == {"c1", "c2"}


def test_amount_category_and_further_columns_are_kept_in_the_metadata(write: Callable[[Rows], Path]) -> None:
    run_import(write([{**GOOD, "amount": 3.5, "category": "pop", "store": "Graz", "metadata": {"sku": 1}}]))
    event = Event.objects.get()
    assert event.metadata == {"amount": 3.5, "category": "pop", "store": "Graz", "sku": 1}
    assert (event.amount, event.category) == (3.5, "pop")


def test_a_line_with_a_field_that_events_do_not_have_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({**GOOD, "amount": 3.5}) + "\n" + json.dumps(GOOD))
    failure_of(path)
    assert [(row["row"], row["attr"]) for row in rejected(path)] == [(1, "amount")]
    assert Event.objects.count() == 1


def test_metadata_that_is_no_object_is_refused_beside_further_columns_too(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    write_csv(path, [{**GOOD, "metadata": []}, {**GOOD, "metadata": [], "store": "Graz"}])
    failure_of(path)
    assert [row["attr"] for row in rejected(path)] == ["metadata", "metadata"]
    assert Event.objects.count() == 0


def test_a_second_run_counts_nothing_twice(write: Callable[[Rows], Path]) -> None:
    # Identical rows without an id are separate events, as in a real log.
    path = write([GOOD, GOOD, {**GOOD, "event_id": "e1"}])
    assert "3 accepted, 0 duplicates" in run_import(path)
    assert "0 accepted, 3 duplicates" in run_import(path)
    assert Event.objects.count() == 3


def test_bad_rows_are_listed_and_the_good_ones_kept(write: Callable[[Rows], Path]) -> None:
    path = write([GOOD, {**GOOD, "customer_id": "c/1"}, GOOD, {**GOOD, "event_type": "visit"}])
    error = failure_of(path)
    assert error.returncode == 1
    assert "events" in str(error)
    assert Event.objects.count() == 2
    slash, visit = rejected(path)
    assert (slash["row"], slash["attr"], slash["reason"]) == (
        2,
        "customer_id",
        "A customer_id must not contain a slash.",
    )
    assert (visit["row"], visit["attr"]) == (4, "event_type")
    assert "visit" in json.dumps(visit["data"])


def test_an_earlier_list_of_rejected_rows_goes_with_the_next_run(write: Callable[[Rows], Path]) -> None:
    path = write([GOOD, {**GOOD, "customer_id": "c/1"}])
    failure_of(path)
    assert len(rejected(path)) == 1
    failure_of(path)
    assert len(rejected(path)) == 1
    run_import(write([GOOD, GOOD]))
    assert rejected(path) == []


def test_rows_of_erased_customers_are_listed_and_the_others_kept(write: Callable[[Rows], Path]) -> None:
    add_tombstone("gone")
    path = write([{**GOOD, "customer_id": "gone"}, GOOD, {**GOOD, "customer_id": "g/one"}])
    assert failure_of(path).returncode == 1
    assert [line["row"] for line in rejected(path)] == [1, 3]
    assert "erased" in rejected(path)[0]["reason"]
    assert Event.objects.get().customer_id == "c1"


def test_rows_of_erased_customers_are_found_in_every_batch(
    write: Callable[[Rows], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ROWS_PER_BATCH", 5)
    monkeypatch.setattr(groups, "ROWS_AT_ONCE", 2)
    add_tombstone("gone")
    add_tombstone("lost")
    strange = {2: "gone", 6: "c/1", 13: "lost", 15: "gone", 16: "gone"}
    path = write([{**GOOD, "customer_id": strange.get(number, f"c{number}")} for number in range(1, 18)])
    failure_of(path)
    assert [line["row"] for line in rejected(path)] == list(strange)
    assert all(
        customer_id in json.dumps(line["data"])
        for line, customer_id in zip(rejected(path), strange.values(), strict=True)
    )
    assert Event.objects.count() == 12
    failure_of(path)
    assert Event.objects.count() == 12


USUAL: dict[str, list[Any]] = {
    "customer_id": ["c1", "ünï"],
    "event_type": ["login", "purchase"],
    "timestamp": [MOMENT.isoformat(), "2026-01-02T03:04:05.5+02:00"],
    "event_id": [None, "e1", "ë2"],
    "session_id": [None, "s 1"],
    "amount": [None, 0, 12.5],
    "store": [None, "Graz", "a\tb\n\\N"],
    "metadata": [None, {}, {"amount": 5, "sku": {"a": [1, None]}}],
}
ODD = [
    None, "a b", "c/1", "a\x00b", "visit", "2026-01-02T03:04:05", "1969-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "-1",
    "nan", "[]", "{", {"amount": "much"}, {"category": 7}, "c" * 129,
]  # fmt: skip
USUAL_ROW = {name: values[-1] for name, values in USUAL.items()}
usual_rows = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in USUAL.items()})
odd_values = st.tuples(st.sampled_from(list(USUAL)), st.sampled_from(ODD)).map(
    lambda odd: ("amount", -1) if odd[0] == "amount" else odd  # a column of Parquet has one type only
)
odd_rows = st.builds(lambda row, odd: {**row, odd[0]: odd[1]}, usual_rows, odd_values)


@given(rows=st.lists(usual_rows | odd_rows, min_size=1, max_size=4))
def test_rows_that_are_taken_together_are_what_each_of_them_is(write: Callable[[Rows], Path], rows: Rows) -> None:
    path = write([{name: value for name, value in row.items() if value is not None} for row in [USUAL_ROW, *rows]])
    file = open_events(path)
    read = [row for group in file.groups() for row in group.rows]
    now = datetime.now(UTC)

    def together() -> list[NewEvent]:
        events = file.records(read)
        check_together(events, now=now)
        return events

    def each() -> list[NewEvent]:
        events = [file.record(row) for row in read]
        check_each(events, partial(check_event, now=now, oldest=EARLIEST))
        return events

    taken = events_or_none(together)
    assert taken is None or taken == events_or_none(each)
    assert taken is not None or any(row[name] not in values for row in rows for name, values in USUAL.items())


def events_or_none(read: Callable[[], list[NewEvent]]) -> list[NewEvent] | None:
    try:
        return read()
    except InvalidError:
        return None


@pytest.mark.parametrize(
    ("fields", "attr", "reason"),
    [
        ({"timestamp": "2026-01-02T03:04:05"}, "timestamp", "with an offset"),
        ({"timestamp": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, "timestamp", "5 minutes ahead"),
        ({"timestamp": "yesterday"}, "timestamp", "ISO 8601"),
        ({"timestamp": "1969-01-01T00:00:00Z"}, "timestamp", "1970"),
        ({"customer_id": ""}, "customer_id", ""),
        ({"customer_id": "a b"}, "customer_id", "without blanks"),
        ({"customer_id": "c" * 129}, "customer_id", "128"),
        ({"event_id": "e" * 65}, "event_id", "64"),
        ({"event_id": "a\x00b"}, "event_id", "can't be stored"),
        ({"metadata": {"amount": -1}}, "metadata.amount", "≥ 0"),
        ({"metadata": {"amount": "much"}}, "metadata.amount", "number"),
        ({"metadata": {"note": "x" * 8192}}, "metadata", "8 KB"),
    ],
)
def test_a_bad_value_is_named_with_its_reason(
    write: Callable[[Rows], Path], fields: dict[str, Any], attr: str, reason: str
) -> None:
    path = write([{**GOOD, **fields}])
    assert failure_of(path).returncode == 1
    (line,) = rejected(path)
    assert (line["row"], line["attr"]) == (1, attr)
    assert reason in line["reason"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('c1,login,2026-01-02T03:04:05Z,,"{bad"', "metadata is not JSON"),
        ('c1,login,2026-01-02T03:04:05Z,,"[1]"', "It must be an object"),
        ("c1,login,2026-01-02T03:04:05Z,1_000,", "must be a number"),
        ("c1,login,2026-01-02T03:04:05Z,nan,", "finite number"),
        ("c1,login", "2 values for 5 columns"),
        ("c1,login,2026-01-02T03:04:05Z,,,,", "7 values for 5 columns"),
        (",login,2026-01-02T03:04:05Z,,", "required"),
        ('c1,login,"2026-01-02T03:04:05Z,,' + "\n" * 140_000, "quote that is never closed"),
    ],
)
def test_a_broken_csv_row_costs_only_itself(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "events.csv"
    good = "c1,login,2026-01-02T03:04:05Z,,"
    path.write_text(f"customer_id,event_type,timestamp,amount,metadata\n{good}\n{line}\n{good}\n")
    assert failure_of(path).returncode == 1
    assert (rejected(path)[0]["row"], Event.objects.count()) == (2, 2)
    assert reason in rejected(path)[0]["reason"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "It must be an object, not an array."),
        (b"7", "It must be an object, not a whole number."),
        (b'{"metadata": {"a": ' + b"[" * 100_000, "The line is not JSON: it is nested too deeply."),
        (b'{"customer_id": "\xff"}', "The line is not JSON: it is not UTF-8."),
        (b'{"customer_id": "' + b"c" * 3_000_000 + b'"}', "longer than 1,048,576 characters"),
        (b"{}", "required"),
        (
            b'{"customer_id": "c1", "event_type": "login", "timestamp": "2026-01-02T03:04:05Z", "metadata": null}',
            "null",
        ),
        (json.dumps(GOOD)[:-1].encode() + b', "event_type": "logout"}', "This key is given twice in one object."),
        (json.dumps(GOOD)[:-1].encode() + b', "metadata": {"a": 1, "a": 2}}', "This key is given twice in one object."),
    ],
)
def test_a_broken_json_line_costs_only_itself(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "events.jsonl"
    good = json.dumps(GOOD).encode()
    path.write_bytes(b"\xef\xbb\xbf" + good + b"\n" + line + b"\r\n\n" + good)
    assert failure_of(path).returncode == 1
    assert (rejected(path)[0]["row"], Event.objects.count()) == (2, 2)
    assert reason in rejected(path)[0]["reason"]


def test_a_csv_row_that_is_no_utf8_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(
        b"\xef\xbb\xbfcustomer_id, event_type,timestamp,category\r\n"
        b"c1,login,2026-01-02T03:04:05Z,Caf\xe9\r\n"
        b"c2,login,2026-01-02T03:04:05Z,Caf\xc3\xa9\r\n"
        b"\r\n"
        b"c\xe93,login,2026-01-02T03:04:05Z,\r\n"
    )
    failure_of(path)
    assert [(line["row"], line["reason"]) for line in rejected(path)] == [
        (1, "The row is not UTF-8."),
        (4, "The row is not UTF-8."),
    ]
    assert Event.objects.get().category == "Café"


def parquet_of(tmp_path: Path, **columns: Any) -> Path:
    """Write a Parquet file of one good row, with some columns replaced or added; None removes one."""
    fields = {"customer_id": ["c1"], "event_type": ["login"], "timestamp": pa.array([MOMENT]), **columns}
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({name: column for name, column in fields.items() if column is not None}), path)
    return path


def type_of(column: pa.Array) -> str:
    """Return a test's name that is the same in every process: the columns hold the present moment."""
    return str(column.type)


@pytest.mark.parametrize(
    "timestamp",
    [
        pa.array([MOMENT], pa.timestamp("us", "UTC")),
        pa.array([MOMENT], pa.timestamp("us", "America/St_Johns")),
        pa.array([MOMENT], pa.timestamp("ns", "UTC")),
        pa.array([MOMENT.astimezone(timezone(timedelta(hours=9))).isoformat()]),
        pa.array([MOMENT.isoformat()]).dictionary_encode(),
    ],
    ids=type_of,
)
def test_a_parquet_timestamp_is_a_moment_whatever_its_type(tmp_path: Path, timestamp: pa.Array) -> None:
    run_import(parquet_of(tmp_path, timestamp=timestamp))
    assert Event.objects.get().timestamp == MOMENT


@pytest.mark.parametrize(
    "timestamp",
    [
        pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("us")),
        pa.array([2**62], pa.int64()).cast(pa.timestamp("us", "UTC")),
        pa.array([1_700_000_000]),
        pa.array([MOMENT.date()]),
        pa.array([None], pa.timestamp("us", "UTC")),
    ],
    ids=type_of,
)
def test_a_parquet_timestamp_that_is_no_moment_is_refused(tmp_path: Path, timestamp: pa.Array) -> None:
    path = parquet_of(tmp_path, timestamp=timestamp)
    assert failure_of(path).returncode == 1
    assert rejected(path)[0]["attr"] == "timestamp"


@pytest.mark.parametrize(
    ("columns", "metadata"),
    [
        ({"metadata": [{"sku": 1, "size": None}]}, {"sku": 1}),
        ({"metadata": pa.array([[("sku", "1")]], pa.map_(pa.string(), pa.string()))}, {"sku": "1"}),
        ({"metadata": pa.array([None], pa.string())}, {}),
        ({"amount": pa.array([Decimal("9.95")])}, {"amount": 9.95}),
        ({"amount": pa.array([7])}, {"amount": 7}),
        ({"amount": pa.array([None], pa.float64())}, {}),
        ({"since": pa.array([MOMENT.date()])}, {"since": MOMENT.date().isoformat()}),
    ],
)
def test_parquet_types_become_json(tmp_path: Path, columns: dict[str, Any], metadata: dict[str, Any]) -> None:
    run_import(parquet_of(tmp_path, **columns))
    assert Event.objects.get().metadata == metadata


def test_whole_numbers_are_ids_in_parquet(tmp_path: Path) -> None:
    run_import(parquet_of(tmp_path, customer_id=[42], event_id=[7], session_id=[3]))
    event = Event.objects.get()
    assert (event.customer_id, event.event_id, event.session_id) == ("42", "7", "3")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("events.txt", b"", "has none of the endings .csv, .jsonl, .parquet"),
        ("missing.csv", None, "does not exist"),
        ("empty.csv", b"", "lacks the columns customer_id, event_type, timestamp: it has none"),
        ("semicolons.csv", b"customer_id;event_type;timestamp\n", "it has customer_id;event_type;timestamp"),
        ("half.csv", b"customer_id,timestamp\n", "lacks the columns event_type"),
        ("twice.csv", b"customer_id,event_type,timestamp,a,a\n", "more than one column named a"),
        ("quote.csv", b'"' + b"x" * 200_000, "can't be read as CSV: is there a quote"),
        ("utf16.csv", "customer_id,event_type,timestamp\n".encode("utf-16"), "lacks the columns"),
        ("no.parquet", b"PAR1 it is not", "can't be read"),
        ("empty.parquet", b"", "can't be read"),
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
    assert Event.objects.count() == 0


def test_a_folder_is_not_a_file_of_events(tmp_path: Path) -> None:
    (tmp_path / "events.csv").mkdir()
    assert "is a folder" in str(failure_of(tmp_path / "events.csv"))


def test_a_parquet_file_without_a_column_is_refused(tmp_path: Path) -> None:
    assert "lacks the columns customer_id" in str(failure_of(parquet_of(tmp_path, customer_id=None)))


def test_a_parquet_file_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    rows = 3 * ROWS_PER_BATCH
    ids = [f"e{number}" for number in range(rows)]
    table = pa.table({"event_id": ids, **{name: [value] * rows for name, value in GOOD.items()}})
    pq.write_table(table, path, row_group_size=ROWS_PER_BATCH, compression="zstd", use_dictionary=False)
    damage(path, row_group=2, bytes_lost=2_000)
    error = failure_of(path)
    assert error.returncode == 2
    assert "the events before it are stored" in str(error)
    assert Event.objects.count() in (ROWS_PER_BATCH, 2 * ROWS_PER_BATCH)


def test_several_batches_are_imported_in_order(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    rows = 2 * ROWS_PER_BATCH + 5
    write_csv(path, [{**GOOD, "event_id": f"e{number}"} for number in range(rows - 1)] + [{**GOOD, "event_type": "no"}])
    failure_of(path)
    assert Event.objects.count() == rows - 1
    assert [line["row"] for line in rejected(path)] == [rows]


def test_files_without_rows_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("customer_id,event_type,timestamp")
    (tmp_path / "a.jsonl").write_text("\n\n")
    for name in ("a.csv", "a.jsonl"):
        assert "0 accepted, 0 duplicates, 0 rejected" in run_import(tmp_path / name)


def test_a_file_is_read_no_further_than_one_batch_ahead() -> None:
    made: list[int] = []
    coming = prefetched(made.append(number) or number for number in range(1, 100))  # type: ignore[func-returns-value]
    assert next(coming) == 1
    assert next(coming) == 2
    assert len(made) <= 3
    assert list(coming) == list(range(3, 100))


@pytest.mark.parametrize("name", FORMATS)
def test_the_number_of_rows_is_known_for_the_progress_bar(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"events{name}"
    FORMATS[name](path, [GOOD] * 7)
    assert open_events(path).total == 7


@pytest.mark.skipif(not CDNOW.exists(), reason=f"the whole CDNOW log is not at ../shared/data/{CDNOW.name}")
def test_a_real_log_is_imported_line_by_line_and_twice_is_once(tmp_path: Path) -> None:
    path = tmp_path / "cdnow.csv"
    lines = [line.split() for line in CDNOW.read_text().splitlines()[1:]]
    rows = [
        f"{customer},purchase,{date[:4]}-{date[4:6]}-{date[6:]}T00:00:00Z,{amount},{items}"
        for customer, date, items, amount in lines
    ]
    path.write_text("\n".join(["customer_id,event_type,timestamp,amount,items", *rows]))
    assert "69,659 accepted, 0 duplicates, 0 rejected" in run_import(path)
    assert "0 accepted, 69,659 duplicates, 0 rejected" in run_import(path)
    assert Event.objects.values("customer_id").distinct().count() == 23_570


@pytest.mark.parametrize("offset", ["+16:00", "-23:59"])
def test_an_offset_that_postgresql_does_not_know_is_a_moment_like_any_other(tmp_path: Path, offset: str) -> None:
    path, text = tmp_path / "events.jsonl", f"2026-01-02T03:04:05{offset}"
    path.write_text(json.dumps({**GOOD, "timestamp": text}))
    run_import(path)
    assert Event.objects.get().timestamp == datetime.fromisoformat(text)


@pytest.mark.parametrize("number", [2**62, -(2**62), 2**55])
def test_a_parquet_timestamp_beyond_the_calendar_is_rejected(tmp_path: Path, number: int) -> None:
    path = tmp_path / "events.parquet"
    columns = {name: [value] for name, value in GOOD.items() if name != "metadata"}
    columns["timestamp"] = pa.array([number], pa.timestamp("ms", tz="UTC"))
    pq.write_table(pa.table(columns), path)
    assert failure_of(path).returncode == 1
    assert (len(rejected(path)), Event.objects.count()) == (1, 0)
