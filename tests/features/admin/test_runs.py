"""Runs in the admin, and the JSON that keeps their bars up to date."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from features.admin.runs import run_progress
from features.models import Run
from tests.staff import log_in

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
PROGRESS = "/admin/features/run/progress/"


def shown(*, seconds: float, **fields: Any) -> dict[str, Any]:
    moment = START + timedelta(seconds=seconds)
    run = Run(**{"kind": "rescore", "started_at": START, "updated_at": moment, "total": 1_000, **fields})
    return run_progress(run, now=moment)


def test_a_running_run_tells_its_rate_and_the_time_left() -> None:
    assert shown(done=250, seconds=5) == {
        "id": None, "state": "running", "percent": 25, "text": "250 of 1,000", "pace": "50 a second, 15 s left",
    }  # fmt: skip


def test_a_run_that_has_done_nothing_yet_waits_for_a_worker() -> None:
    assert shown(done=0, seconds=5)["pace"] == "waiting for a worker"
    assert shown(done=0, seconds=0)["percent"] == 0


def test_a_slow_run_tells_the_time_left_without_a_rate() -> None:
    assert shown(done=10, seconds=100)["pace"] == "2 h 45 min left"


def test_a_run_that_is_done_tells_how_long_it_took() -> None:
    assert shown(done=1_000, seconds=100, state="done")["pace"] == "10 a second, took 1 min 40 s"


def test_only_all_is_a_hundred_percent() -> None:
    assert shown(done=999, seconds=1)["percent"] == 99
    assert shown(done=1_001, seconds=1)["percent"] == 100
    assert shown(done=0, total=0, seconds=1, state="done")["percent"] == 100
    assert shown(done=0, total=0, seconds=1)["percent"] == 0


@pytest.fixture
def viewer(db: None) -> Client:
    return log_in("viewer")


def test_the_json_tells_of_the_runs_asked_for(viewer: Client) -> None:
    first, second, _ = (Run.objects.create(kind="rescore", total=10, done=done) for done in (1, 2, 3))
    answer = viewer.get(f"{PROGRESS}?id={first.pk}&id={second.pk}").json()
    assert {run["id"]: run["percent"] for run in answer["runs"]} == {first.pk: 10, second.pk: 20}


@pytest.mark.parametrize("query", ["", "id=", "id=x", "id=-1", "id=99999999999999999999", "id=²", "id=0"])
def test_the_json_is_empty_for_what_is_no_run(viewer: Client, query: str) -> None:
    response = viewer.get(f"{PROGRESS}?{query}")
    assert (response.status_code, response.json()) == (200, {"runs": []})


def test_the_list_shows_a_bar_that_its_script_can_move(viewer: Client) -> None:
    run = Run.objects.create(kind="recompute", total=200, done=50)
    page = viewer.get("/admin/features/run/").content.decode()
    assert f'data-run="{run.pk}" data-state="running" data-url="{PROGRESS}"' in page
    assert '<progress max="100" value="25"' in page
    assert "features/progress.js" in page


def test_a_run_is_shown_and_never_changed(viewer: Client) -> None:
    run = Run.objects.create(kind="rescore", state="failed", error="The disk is full")
    assert "The disk is full" in viewer.get(f"/admin/features/run/{run.pk}/change/").content.decode()
    assert log_in(is_superuser=True).post(f"/admin/features/run/{run.pk}/delete/", {"post": "yes"}).status_code == 403


def test_without_runs_the_list_says_what_would_be_one(viewer: Client) -> None:
    assert "No jobs yet" in viewer.get("/admin/features/run/").content.decode()
