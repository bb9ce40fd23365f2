"""Recomputation of everybody: one aggregation, then chunks that any number of workers load."""

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now

from featurehub.lib.errors import ConflictError
from features.engines import staging
from features.engines.activity_sql import ACTIVITY_COLUMNS
from features.materialization import pipeline, recompute, refresh, runs
from features.materialization.erasure import erase_customer
from features.models import Customer, CustomerFeature, FeatureVersion, Run, RunChunk
from features.registry.snapshot import registry_snapshot
from tests.factories import ago, cached, make_customer, make_event, make_purchase, make_version, rows_of, store_events

pytestmark = pytest.mark.usefixtures("db")


def load(run: Run) -> Run:
    while recompute.load_chunk(run):
        pass
    run.refresh_from_db()
    return run


def tables() -> list[str]:
    return [name for name in connection.introspection.table_names() if name.startswith("features_activity_of_run")]


def test_everybody_is_computed_appended_and_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute, "PAGES_PER_CHUNK", 1)
    for number in range(200):
        store_events(make_event(customer_id=f"c{number}"), make_purchase(customer_id=f"c{number}", amount=number))
    run = recompute.begin_recompute()
    assert RunChunk.objects.filter(run=run).count() > 1
    run = load(run)
    assert (run.state, run.done, run.total) == (Run.State.DONE, 200, 200)
    assert CustomerFeature.objects.filter(feature_type="behavioral").count() == 200
    assert {cached(f"c{number}")["purchase_amount_30d"] for number in range(200)} == {f"{n}.0" for n in range(200)}
    assert tables() == []


def test_a_chunk_costs_what_its_customers_cost_however_many_others_there_are() -> None:
    with connection.cursor() as cursor:
        cursor.execute("insert into features_customer (customer_id) select 'c' || n from generate_series(1, 100000) n")
        cursor.execute("analyze features_customer")
    plans: list[str] = []

    def explain(execute: Any, sql: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
        if "features_customer customer" in sql and "insert" not in sql:
            execute(f"explain {sql}", parameters, many, context)
            plans.append("\n".join(line for (line,) in context["cursor"].fetchall()))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(explain):
        recompute.recompute_customers(customer_ids=[f"c{number}" for number in range(1, 1_001)])
    assert len(plans) >= 3
    assert [plan for plan in plans if "Seq Scan on features_customer customer" in plan] == []


def test_it_gives_what_the_refresh_of_marks_gives() -> None:
    store_events(make_purchase(amount=12.5, timestamp=ago(days=2)), make_event(session_id="s"), make_event())
    as_of = ago(seconds=1)
    recompute.recompute_customers(customer_ids=["c1"], as_of=as_of)
    expected = rows_of("c1")[0]
    with connection.cursor() as cursor:
        cursor.execute("delete from features_customerfeature")
    load(recompute.begin_recompute(as_of=as_of))
    (row,) = rows_of("c1")
    assert (row.features, row.metadata, row.timestamp) == (expected.features, expected.metadata, expected.timestamp)


def test_a_customer_whose_events_have_all_left_is_computed_to_zeros() -> None:
    make_customer("c1", page_view=2)
    load(recompute.begin_recompute(as_of=ago(days=60)))
    zeros = rows_of("c1")[-1]
    assert zeros.features["page_views_30d"] == 0.0
    assert cached("c1")["page_views_30d"] == "2.0"


def test_what_a_refresh_computed_meanwhile_stays_published() -> None:
    make_customer("c1", page_view=1)
    run = recompute.begin_recompute()
    make_customer("c1", page_view=1)
    load(run)
    assert cached("c1")["page_views_30d"] == "2.0"


def test_an_earlier_moment_with_other_values_does_not_become_what_holds_now() -> None:
    """An event that arrived late was in the window then, and has left it since."""
    recompute.recompute_customers(customer_ids=["c1"], as_of=ago(days=20))
    store_events(make_event(timestamp=ago(days=35)))
    refresh.refresh_dirty()
    assert len(rows_of("c1")) == 1
    load(recompute.begin_recompute(as_of=ago(days=10)))
    rows = sorted(rows_of("c1"), key=lambda row: row.timestamp)
    assert [row.features["page_views_30d"] for row in rows] == [0.0, 1.0, 0.0]
    assert rows[-1].timestamp == Customer.objects.get(pk="c1").computed_at
    assert cached("c1")["page_views_30d"] == "0.0"


def test_a_customer_that_was_erased_meanwhile_does_not_come_back() -> None:
    make_customer("c1", page_view=1)
    make_customer("c2", page_view=1)
    run = recompute.begin_recompute()
    Customer.objects.filter(pk="c1").delete()
    CustomerFeature.objects.filter(customer_id="c1").delete()
    run = load(run)
    assert rows_of("c1") == []
    assert (run.state, run.done) == (Run.State.DONE, 2)


def test_a_run_that_another_version_has_overtaken_fails_and_says_so() -> None:
    make_customer("c1", page_view=2)
    run = recompute.begin_recompute()
    make_version("behavioral", logins_7d={"kind": "count", "event_type": "login", "window": "7d"}, state="live")
    registry_snapshot.forget()
    with pytest.raises(ConflictError, match=r"behavioral:2\.0 has gone live"):
        recompute.load_chunk(run)
    run.refresh_from_db()
    assert (run.state, run.chunks.count(), tables()) == ("failed", 0, [])
    assert "start it again" in run.error


@pytest.mark.parametrize("is_erased", [False, True])
def test_a_chunk_without_anybody_does_not_keep_the_run_from_its_end(is_erased: bool) -> None:
    """The live version has windowed features as well, whose columns an empty activity lacks."""
    make_version("behavioral", state="live", logins_7d={"event_type": "login", "window": "7d"})
    make_customer("c1", login=2)
    run = recompute.begin_recompute()
    if is_erased:
        erase_customer("c1")
    else:
        RunChunk.objects.create(run=run, number=7)
    assert load(run).state == "done"
    assert not RunChunk.objects.exists()


def test_a_chunk_whose_worker_died_while_publishing_is_done_again_and_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_customer("c1", page_view=1)
    run = recompute.begin_recompute()

    def die(*args: object, **named: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "publish", die)
        with pytest.raises(SystemExit):
            recompute.load_chunk(run)
    assert recompute.load_chunk(run) == 0  # still claimed by the worker that died
    RunChunk.objects.update(due_at=Now() - timedelta(seconds=1))
    assert (load(run).state, run.done) == (Run.State.DONE, 1)


def test_a_run_whose_aggregation_fails_says_why_and_leaves_nothing() -> None:
    def fail(table: str, **asked: object) -> None:
        raise RuntimeError("no disk is left")

    with pytest.raises(RuntimeError):
        recompute.begin_recompute(engine=fail)
    run = Run.objects.get()
    assert (run.state, run.error) == (Run.State.FAILED, "no disk is left")
    assert tables() == []


def test_a_run_whose_aggregation_was_killed_ends_as_failed_and_says_what_to_do() -> None:
    make_customer("c1", page_view=1)
    run = Run.objects.create(kind=Run.Kind.RECOMPUTE, as_of=ago(), total=1)
    Run.objects.update(updated_at=ago(minutes=1))
    assert runs.stalled_runs() == [run]
    assert recompute.load_chunk(run) == 0
    run.refresh_from_db()
    assert run.state == Run.State.FAILED
    assert "start it again" in run.error


def test_a_run_that_goes_on_is_not_sent_again() -> None:
    make_customer("c1", page_view=1)
    recompute.begin_recompute()
    assert runs.stalled_runs() == []


def test_an_engine_that_sees_only_those_with_events_is_completed() -> None:
    make_customer("c1", page_view=1)
    make_customer("c2", page_view=1)

    def see_c1(table: str, **asked: object) -> None:
        staging.create_activity_table(table, [b"c1,5" + b",0" * (len(ACTIVITY_COLUMNS) - 1) + b",,\n"])

    load(recompute.begin_recompute(engine=see_c1))
    assert cached("c1")["page_views_30d"] == "5.0"
    assert cached("c2")["page_views_30d"] == "0.0"


def test_a_run_that_postgresql_has_kept_from_aggregating_is_tried_again() -> None:
    make_customer("c1", page_view=1)
    run = Run.objects.create(kind=Run.Kind.RECOMPUTE, total=1)

    def time_out(table: str, **asked: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("set local lock_timeout = '1ms'; do $$ begin raise lock_not_available; end $$")

    with pytest.raises(OperationalError):
        recompute.aggregate_for_run(run, engine=time_out)
    assert load(run).state == Run.State.DONE


def test_a_run_that_has_ended_is_not_aggregated() -> None:
    make_customer("c1", page_view=1)
    run = Run.objects.create(kind=Run.Kind.RECOMPUTE, state=Run.State.FAILED, error="It failed.", total=1)
    with pytest.raises(ConflictError, match="It failed"):
        recompute.load_chunk(run)
    assert (tables(), run.chunks.count()) == ([], 0)


def test_the_migration_drops_the_tables_of_runs_that_have_ended() -> None:
    clear = import_module("features.migrations.0031_ended_runs_cleared").CLEAR
    make_customer("c1", page_view=1)
    ended, goes_on = recompute.begin_recompute(), recompute.begin_recompute()
    Run.objects.filter(pk=ended.pk).update(state=Run.State.FAILED)
    aside = make_version("behavioral", state="shadow")
    FeatureVersion.objects.filter(pk=aside.pk).update(put_aside_at=Now(), put_aside_because="A test", is_taken_up=True)
    with connection.cursor() as cursor:
        cursor.execute(clear)
    assert tables() == [recompute.table_of(goes_on)]
    aside.refresh_from_db()
    assert not aside.is_taken_up
