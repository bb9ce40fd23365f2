"""manage.py recompute: everybody, or some customers, now or as of an earlier moment."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from features.models import Run
from tests.factories import ago, cached, make_event, rows_of, store_events

pytestmark = pytest.mark.usefixtures("db")


def test_everybody_is_recomputed_and_the_run_can_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    store_events(make_event(), make_event(customer_id="c2"))
    call_command("recompute")
    assert "2 customers were recomputed." in capsys.readouterr().out
    assert cached("c1")["page_views_30d"] == cached("c2")["page_views_30d"] == "1.0"
    assert Run.objects.get().state == Run.State.DONE


def test_only_the_customers_named_are_recomputed() -> None:
    store_events(make_event(), make_event(customer_id="c2"), make_event(customer_id="c3"))
    call_command("recompute", "--customer", "c1", "--customer", "c3")
    assert [len(rows_of(customer_id)) for customer_id in ("c1", "c2", "c3")] == [1, 0, 1]


def test_an_earlier_moment_sees_what_was_there_then() -> None:
    store_events(make_event(timestamp=ago(days=3)), make_event(timestamp=ago(days=1)))
    call_command("recompute", "--as-of", ago(days=2).isoformat())
    assert rows_of("c1")[0].features["page_views_30d"] == 1.0


@pytest.mark.parametrize("arguments", [[], ["--customer", "c1"]])
def test_a_range_of_days_is_backfilled(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    store_events(*(make_event(timestamp=ago(days=day)) for day in (4, 3, 1)))
    command = ["recompute", "--as-of", ago(days=3.5).isoformat(), "--until", ago(days=0.5).isoformat(), *arguments]
    call_command(*command)
    counts = [row.features["page_views_30d"] for row in rows_of("c1")]
    assert counts == [1.0, 2.0, 3.0]  # only one value changed on the second day
    assert [row.timestamp for row in rows_of("c1")] == sorted(row.timestamp for row in rows_of("c1"))
    assert "4 of 4" in capsys.readouterr().out
    call_command(*command)
    assert len(rows_of("c1")) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--until", "2026-01-01T00:00:00Z"], "give both"),
        (["--as-of", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"], "give both"),
        (["--as-of", "2026-01-02T00:00:00Z", "--until", "2999-01-01T00:00:00Z"], "in the future"),
        (["--as-of", "2999-01-01T00:00:00Z"], "in the future"),
        (["--as-of", "2026-01-01T00:00:00"], "is not an ISO 8601 moment"),
        (["--events", "somewhere"], "is not an export of export_events"),
        (["--remote", "sc://there"], "need --engine spark"),
        (["--engine", "spark", "--customer", "c1"], "Spark always recomputes all customers"),
        (["--engine", "spark", "--jdbc", "no.jar"], "invalid jar value"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("recompute", *arguments)
    assert not Run.objects.exists()


def test_an_export_is_not_asked_for_what_happened_after_it(tmp_path: Path) -> None:
    call_command("export_events", to=tmp_path)
    with pytest.raises(CommandError, match="Export them again"):
        call_command("recompute", "--engine", "spark", "--events", str(tmp_path), "--as-of", ago().isoformat())
