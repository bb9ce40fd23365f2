"""Files of events with anything in them: each row is stored or rejected with its number and a reason, never a crash."""

import csv
import json
import re
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

from events.imports.fields import FIELDS
from events.models import Event
from tests.factories import ago

pytestmark = pytest.mark.django_db
MOMENT = ago(days=1).isoformat()
GOOD = {"customer_id": "c1", "event_type": "login", "timestamp": MOMENT}
COUNTS = re.compile(r": ([\d,]+) accepted, ([\d,]+) duplicates, ([\d,]+) rejected\n$")

# No lone surrogates where a file has to be UTF-8; those come as bytes and as JSON escapes.
texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from([
    "", " ", "\x00", "\r\n", '"', ",", "NaN", "1e400", "-1", "{}", '{"amount": -1}', "[" * 50, "2026-01-01", "login",
    "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2026-01-01T00:00:00+16:00", MOMENT, "x" * 128, "x" * 129, "c1",
])  # fmt: skip
names = st.sampled_from([*FIELDS, "amount", "category", "sku"]) | texts
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | texts
    | st.sampled_from(["\ud800", 10**400, MOMENT])
)  # fmt: skip
values = st.recursive(
    scalars, lambda part: st.lists(part, max_size=2) | st.dictionaries(st.text(max_size=3), part, max_size=2)
)
columns = st.one_of(
    *(
        st.lists(st.none() | cells, min_size=3, max_size=3).map(lambda cells, kind=kind: pa.array(cells, type=kind))  # type: ignore[misc]
        for kind, cells in (
            (pa.string(), texts),
            (pa.binary(), st.binary(max_size=8)),
            (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
            (pa.uint64(), st.integers(0, 2**64 - 1)),
            (pa.float64(), st.floats()),
            (pa.bool_(), st.booleans()),
            (pa.timestamp("ms", tz="UTC"), st.integers(-(2**62), 2**62)),
            # Whole microseconds: an import breaks off (status 2) at a time of nanoseconds.
            (pa.timestamp("ns"), st.integers(-(2**52), 2**52).map(lambda number: number * 1_000)),
            (pa.date32(), st.integers(-(2**31), 2**31 - 1)),
            (pa.time64("us"), st.integers(0, 86_399_999_999)),
            (pa.duration("us"), st.integers(-(2**62), 2**62)),
            (pa.decimal128(38, 9), st.integers(-(10**20), 10**20).map(Decimal)),
            (pa.list_(pa.int64()), st.lists(st.integers(0, 5), max_size=3)),
            (pa.struct([("a", pa.string())]), st.fixed_dictionaries({"a": texts})),
        )
    )
)  # fmt: skip


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def run_import(path: Path) -> tuple[int, str]:
    """Return the exit status of the command, and what it says."""
    out = StringIO()
    try:
        call_command("import_events", str(path), stdout=out)
    except CommandError as error:
        return error.returncode, f"{error}\n{out.getvalue()}"
    return 0, out.getvalue()


def check_import(path: Path, *, rows: int | None = None) -> None:
    """Import the file and hold what the command says to what is stored and listed. `rows`: their number, if known."""
    listed = path.with_name(f"{path.name}.rejected.jsonl")
    before = Event.objects.count()
    status, said = run_import(path)
    assert "broke off" not in said
    rejections = [json.loads(line) for line in listed.read_bytes().splitlines()] if listed.exists() else []
    listed.unlink(missing_ok=True)
    assert all(rejection["row"] >= 1 and rejection["reason"] for rejection in rejections)
    assert len({rejection["row"] for rejection in rejections}) == len(rejections)
    if status == 2:
        assert rows is None or "\n" not in said.strip(), said
        return
    found = COUNTS.search(said)
    assert found is not None, said
    accepted, duplicates, rejected = (int(number.replace(",", "")) for number in found.groups())
    assert Event.objects.count() - before == accepted
    assert len(rejections) == rejected
    assert status == (1 if rejected else 0)
    if rows is not None:
        assert accepted + duplicates + rejected == rows


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@given(content=st.binary() | st.lists(texts).map(lambda parts: "\n".join(parts).encode()))
def test_a_file_of_any_bytes(folder: Path, suffix: str, content: bytes) -> None:
    path = folder / f"events{suffix}"
    path.write_bytes(content)
    check_import(path)


@given(head=st.lists(names, max_size=4, unique=True), rows=st.lists(st.lists(texts, max_size=9), max_size=5))
def test_a_table_of_any_texts_as_csv(folder: Path, head: list[str], rows: list[list[str]]) -> None:
    path = folder / "events.csv"
    # Rows of the three required columns and whatever, so that some are right; a blank row is none.
    required = [name for name in GOOD if name not in head]
    whole = [[*(GOOD[name] for name in required), *row, "x"] for row in rows]
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([[*required, *head, "further"], *whole])
    check_import(path, rows=len(rows))


@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(FIELDS) | texts, values, max_size=4).map(lambda row: {**GOOD, **row}) | values,
        max_size=5,
    )
)
def test_lines_of_any_json(folder: Path, rows: list[Any]) -> None:
    path = folder / "events.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    check_import(path, rows=len(rows))


@given(further=st.dictionaries(st.sampled_from(FIELDS) | texts, columns, max_size=4))
def test_a_table_of_any_types_as_parquet(folder: Path, further: dict[str, pa.Array]) -> None:
    path = folder / "events.parquet"
    pq.write_table(pa.table({**{name: [value] * 3 for name, value in GOOD.items()}, **further}), path)
    check_import(path, rows=3)
