"""Exports from PostgreSQL to Parquet: every row, every value, in a folder for each date."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pyarrow.dataset as ds
import pytest
from django.core.management import CommandError, call_command

from events.exports import MANIFEST, complete_until, export_events
from featurehub.lib.errors import InvalidError
from features.offline.exports import export_history
from tests.factories import ago, make_customer, make_event, make_purchase, store_events

pytestmark = pytest.mark.usefixtures("db")


def rows_in(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = ds.dataset(folder, format="parquet", partitioning="hive").to_table().to_pylist()
    return rows


def test_events_come_out_as_they_went_in(tmp_path: Path) -> None:
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    awkward = {"amount": 0.1, "category": "", "note": 'a "quoted",\nbroken line'}
    store_events(
        make_event(event_id="e1", customer_id="客户-🛒", event_type="purchase", timestamp=midnight, metadata=awkward),
        make_event(event_id="e2", timestamp=midnight.replace(hour=23, minute=59, second=59, microsecond=999_999)),
        make_event(event_id="e3", timestamp=datetime(2026, 3, 2, 0, 0, tzinfo=UTC), session_id="s"),
    )
    assert export_events(tmp_path) == 3
    rows = {row["event_id"]: row for row in rows_in(tmp_path)}
    assert {name: str(row["date"]) for name, row in rows.items()} == {
        "e1": "2026-03-01", "e2": "2026-03-01", "e3": "2026-03-02",
    }  # fmt: skip
    assert (rows["e1"]["customer_id"], rows["e1"]["amount"], rows["e1"]["category"]) == ("客户-🛒", 0.1, "")
    assert rows["e1"]["timestamp"] == midnight
    assert rows["e2"]["timestamp"] == midnight.replace(hour=23, minute=59, second=59, microsecond=999_999)
    assert (rows["e2"]["amount"], rows["e2"]["category"], rows["e2"]["session_id"]) == (None, None, None)
    assert "broken line" in str(rows["e1"]["metadata"])


def test_an_export_written_again_has_each_event_once(tmp_path: Path) -> None:
    store_events(make_event(), make_event(timestamp=ago(days=2)))
    export_events(tmp_path)
    store_events(make_event())
    assert export_events(tmp_path) == 3
    assert len(rows_in(tmp_path)) == 3


def test_an_export_says_up_to_when_it_is_complete(tmp_path: Path) -> None:
    before = ago()
    export_events(tmp_path)
    assert before <= complete_until(tmp_path) <= ago()


def test_an_export_that_is_broken_off_is_none_until_it_is_made_again(tmp_path: Path) -> None:
    store_events(make_event(), make_event(timestamp=ago(days=2)))
    export_events(tmp_path)
    with pytest.raises(Died):
        export_events(tmp_path, progress=die)
    with pytest.raises(InvalidError, match="is not an export of export_events"):
        complete_until(tmp_path)
    assert export_events(tmp_path) == len(rows_in(tmp_path)) == 2
    assert complete_until(tmp_path) <= ago()


def test_an_export_that_dies_before_its_manifest_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_events(tmp_path)
    monkeypatch.setattr(json, "dumps", die)
    with pytest.raises(Died):
        export_events(tmp_path)
    with pytest.raises(InvalidError, match="is not an export of export_events"):
        complete_until(tmp_path)


class Died(Exception):
    """The process ends here."""


def die(*args: object, **named: object) -> NoReturn:
    raise Died


def test_a_folder_that_is_no_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"is not an export of export_events: .* can't be read"):
        complete_until(tmp_path)


@pytest.mark.parametrize("manifest", [b"{", b"{}", b'{"complete_until": "today"}', b"\xff"])
def test_a_manifest_without_a_moment_is_named(tmp_path: Path, manifest: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(manifest)
    with pytest.raises(InvalidError, match="does not say until when the events are complete"):
        complete_until(tmp_path)


def test_the_history_comes_out_whole(tmp_path: Path) -> None:
    make_customer("c1", page_view=3)
    assert export_history(tmp_path) == 2
    rows = rows_in(tmp_path)
    assert {row["feature_type"] for row in rows} == {"behavioral", "derived"}
    assert '"page_views_30d":' in str(rows[0]["features"]) + str(rows[1]["features"])


def test_commands_say_how_much_they_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_customer("c1", events=[make_purchase()])
    call_command("export_events", to=tmp_path / "events")
    call_command("export_history", to=tmp_path / "history")
    said = capsys.readouterr().out
    assert "1 events were written to" in said
    assert "2 rows were written to" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="can't be written"):
        call_command("export_events", to=tmp_path / "file" / "events")
