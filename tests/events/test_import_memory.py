"""Imports need little memory, whatever is in the file: each runs in a process of its own, which tells its peak."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.imports.importing import open_events
from events.models import Event
from featurehub.files import parquet_files
from featurehub.lib.errors import InvalidError
from tests.at_once import in_a_process
from tests.factories import ago

MOMENT = ago(days=1).isoformat()
GOOD = {"customer_id": "c1", "event_type": "login", "timestamp": MOMENT}
MOST_MEGABYTES = 400
GROWTH_MEGABYTES = 40
IMPORT = """
import sys
from pathlib import Path
from django.core.management import CommandError, call_command
code = 0
try:
    call_command("import_events", {path!r})
except CommandError as error:
    code = error.returncode
    print(str(error)[:2000])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(code, int(peak.split()[1]) // 1024)
"""


def imported(path: Path) -> tuple[int, str, int]:
    """Import the file in another process. Return the exit status, what was printed, and the peak in megabytes."""
    ended = in_a_process(IMPORT.format(path=str(path)))
    assert ended.returncode == 0, ended.stderr
    *printed, last = ended.stdout.splitlines()
    code, peak = map(int, last.split())
    print(f"{path.name}: {peak} MB at most")
    return code, "\n".join(printed), peak


def first_rejected(path: Path) -> dict[str, object]:
    with path.with_name(f"{path.name}.rejected.jsonl").open() as file:
        line: dict[str, object] = json.loads(next(file))
        return line


def bad_csv(path: Path, rows: int) -> None:
    line = f"c1,visit,{MOMENT},{'x' * 100}\n"
    with path.open("w") as file:
        file.write("customer_id,event_type,timestamp,note\n")
        file.writelines(line for _ in range(rows))


def bad_jsonl(path: Path, rows: int) -> None:
    line = json.dumps({**GOOD, "event_type": "visit", "metadata": {"note": "x" * 100}}) + "\n"
    with path.open("w") as file:
        file.writelines(line for _ in range(rows))


def bad_parquet(path: Path, rows: int) -> None:
    row = {**GOOD, "event_type": "visit", "note": "x" * 100}
    pq.write_table(pa.table({name: [value] * rows for name, value in row.items()}), path)


@pytest.mark.parametrize("write", [bad_csv, bad_jsonl, bad_parquet])
def test_ten_times_the_bad_rows_take_no_more_memory(
    committed: None, tmp_path: Path, write: Callable[[Path, int], None]
) -> None:
    peaks = []
    for rows in (20_000, 200_000):
        path = tmp_path / f"{rows}.{write.__name__.removeprefix('bad_')}"
        write(path, rows)
        code, _, peak = imported(path)
        assert (code, first_rejected(path)["row"]) == (1, 1)
        peaks.append(peak)
    assert peaks[1] - peaks[0] < GROWTH_MEGABYTES
    assert peaks[1] < MOST_MEGABYTES


def test_a_small_parquet_file_of_many_bad_rows_takes_no_more_memory(committed: None, tmp_path: Path) -> None:
    path = tmp_path / "same.parquet"
    row = {**GOOD, "event_type": "visit", "note": "x" * 100}
    table = pa.table({name: pa.array([value]).take(pa.array([0] * 100)) for name, value in row.items()})
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        writer.write_table(pa.concat_tables([table] * 4_000), row_group_size=400_000)
    assert path.stat().st_size < 100_000
    code, _, peak = imported(path)
    assert (code, peak < MOST_MEGABYTES) == (1, True)


def test_cells_that_a_dictionary_repeats_are_not_decoded_together(committed: None, tmp_path: Path) -> None:
    path = tmp_path / "repeated.parquet"
    cell = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), pa.array(["x" * 8_000_000]))
    table = pa.table({**{name: [value] * 2_000 for name, value in GOOD.items()}, "note": cell})
    pq.write_table(table, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 100_000
    code, _, peak = imported(path)
    assert (code, peak < MOST_MEGABYTES) == (1, True)
    line = first_rejected(path)
    assert (line["row"], line["data"]) == (1, None)
    assert "in the column note; at most 1,048,576 are possible" in str(line["reason"])


HUGE_CELL = """
import pyarrow as pa, pyarrow.parquet as pq
row = {{**{good!r}, "note": "x" * 500_000_000}}
pq.write_table(
    pa.table({{name: [value] for name, value in row.items()}}), {path!r}, compression="zstd", use_dictionary=False
)
"""


def test_a_parquet_file_with_a_huge_cell_is_refused_before_it_is_decompressed(committed: None, tmp_path: Path) -> None:
    path = tmp_path / "huge.parquet"
    in_a_process(HUGE_CELL.format(good=GOOD, path=str(path)))
    assert path.stat().st_size < 100_000
    code, printed, peak = imported(path)
    assert "Row group 1 can't be read" in printed
    assert "with the column note, 477 MB of pages are needed at once; at most 256 MB are read" in printed
    assert (code, peak < MOST_MEGABYTES) == (2, True)


@pytest.mark.parametrize("name", ["endless.csv", "endless.jsonl"])
def test_a_line_without_an_end_is_rejected(committed: None, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    good = {"csv": f"customer_id,event_type,timestamp\nc1,login,{MOMENT}\n", "jsonl": json.dumps(GOOD) + "\n"}
    with path.open("w") as file:
        file.write(good[name.partition(".")[2]])
        file.truncate(500_000_000)  # NULs, which take no space
    code, _, peak = imported(path)
    assert (code, Event.objects.count(), peak < MOST_MEGABYTES) == (1, 1, True)
    assert first_rejected(path)["reason"] == "The row can't be read: it is longer than 1,048,576 characters."
    assert first_rejected(path)["row"] == 2


def test_a_record_of_csv_without_an_end_is_rejected(committed: None, tmp_path: Path) -> None:
    path = tmp_path / "record.csv"
    with path.open("w") as file:
        file.write(f'customer_id,event_type,timestamp\nc1,login,{MOMENT}\nc1,"x\n')
        file.writelines('","x\n' for _ in range(250_000))
    code, _, peak = imported(path)
    assert (code, Event.objects.count(), peak < MOST_MEGABYTES) == (1, 1, True)
    assert first_rejected(path)["reason"] == "The row can't be read: it is longer than 1,048,576 characters."


def test_a_csv_header_of_very_many_columns_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join([*GOOD, *[f"c{number}" for number in range(60_000)]]) + "\n")
    with pytest.raises(InvalidError, match="has 60,003 columns; at most 1,000 are read"):
        open_events(path)


def test_a_csv_header_without_an_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "header.csv"
    path.write_bytes(b"c," * 2_000_000)
    with pytest.raises(InvalidError, match="a header that can't be read: it is longer than 1,048,576 characters"):
        open_events(path)


def test_a_parquet_file_of_thousands_of_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({**{n: [v] for n, v in GOOD.items()}, **{f"c{n}": [n] for n in range(5_000)}}), path)
    with pytest.raises(InvalidError, match="has 5,003 columns; at most 1,000 are read"):
        open_events(path)


def test_a_parquet_file_with_a_huge_footer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "footer.parquet"
    pq.write_table(pa.table({name: [value] for name, value in GOOD.items()}), path)
    monkeypatch.setattr(parquet_files, "FOOTER_LIMIT", 500)
    with pytest.raises(InvalidError, match=r"has a footer of [0-9,]+ bytes; at most 500 are read"):
        open_events(path)


def test_lists_with_very_many_values_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lists.parquet"
    pq.write_table(pa.table({**{name: [value] for name, value in GOOD.items()}, "tags": [[0] * 1_000]}), path)
    monkeypatch.setattr(parquet_files, "NESTED_VALUES_LIMIT", 999)
    with pytest.raises(
        InvalidError, match=r"with the column tags\.list\.element, its lists and maps have 1,000 values"
    ):
        list(open_events(path).groups())


def test_a_list_that_repeats_a_long_text_is_rejected_before_it_is_expanded(committed: None, tmp_path: Path) -> None:
    path = tmp_path / "repeated_list.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 100_000]))
    metadata = pa.MapArray.from_arrays(
        [0, 1, 2], ["tags", "tags"], pa.ListArray.from_arrays([0, 20_000, 20_000], texts)
    )
    columns = {**{name: [value] * 2 for name, value in GOOD.items()}, "metadata": metadata}
    pq.write_table(pa.table(columns), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 100_000
    code, _, peak = imported(path)
    assert (code, Event.objects.count(), peak < MOST_MEGABYTES) == (1, 1, True)
    assert "in the column metadata; at most 1,048,576 are possible" in str(first_rejected(path)["reason"])


WRITERS = {
    "plain": {"use_dictionary": False},
    "dictionary": {},
    "pages": {"data_page_size": 100, "write_batch_size": 10, "write_page_index": True},
    "version 2": {"data_page_version": "2.0", "compression": "zstd", "write_page_checksum": True},
    "deltas": {"use_dictionary": False, "column_encoding": {"note": "DELTA_BYTE_ARRAY"}},
    "deltas in lists": {"use_dictionary": False, "column_encoding": {"words.list.element": "DELTA_BYTE_ARRAY"}},
    "lengths": {"use_dictionary": False, "column_encoding": {"note": "DELTA_LENGTH_BYTE_ARRAY"}},
}


@pytest.mark.parametrize("writer", WRITERS)
def test_pages_of_every_kind_are_measured_and_read(tmp_path: Path, writer: str) -> None:
    path = tmp_path / "kinds.parquet"
    rows = [{**GOOD, "note": None if n % 7 == 0 else f"note {n}" * 10, "tags": [1] * (n % 3)} for n in range(5_000)]
    rows = [row | {"words": ["a", f"b{len(row['tags'])}"]} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3_000, **WRITERS[writer])
    read = [row for group in open_events(path).groups() for row in group.rows]
    assert [row[3] for row in read] == [row["note"] for row in rows]
