"""Activation re-scores everybody from stored activity: no events, resumable, never scores of two sets in one answer."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from features import tasks
from features.lifecycle import weight_set_steps
from features.materialization import pipeline, rescore, runs
from features.models import Customer, Publication, Run, WeightSet
from features.online import outbox
from features.registry.weight_sets import active_set
from features.serving.feature_store import get_feature_values
from tests.e2e.synthetic import fingerprint, load
from tests.factories import cached, make_customer, make_weight_set, rows_of

pytestmark = pytest.mark.django_db
LOGINS_ONLY = dict.fromkeys(("page_view", "email_open", "email_click", "form_submit", "purchase"), (0.0, 10.0)) | {
    "login": (1.0, 4.0)
}


def activate(weights: dict[str, tuple[float, float]] = LOGINS_ONLY) -> Run:
    return weight_set_steps.activate(make_weight_set(weights=weights).pk, by=None, reason="Go")


def score_of(customer_id: str) -> tuple[float, int]:
    """Return the score that a reader gets, and the weight set it is computed under."""
    values = get_feature_values([customer_id], names=["engagement_score"], with_metadata=True)[0]
    return values.features["engagement_score"], values.metadata["behavioral"]["weight_set"]


def work_off(run: Run, *, limit: int = 1_000) -> Run:
    while rescore.rescore(run, limit=limit):
        pass
    runs.finish_rescore(run)
    return Run.objects.get(pk=run.pk)


def test_everybody_is_scored_under_the_new_weights_and_published() -> None:
    for number in range(5):
        make_customer(f"c{number}", login=number, page_view=2)
    run = work_off(activate())

    assert (run.state, run.done, run.total) == ("done", 5, 5)
    assert [score_of(f"c{number}") for number in range(5)] == [
        (score, run.weight_set_id) for score in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert cached("c3")["engagement_score"] == "0.75"
    assert rows_of("c3")[-1].metadata["weight_set"] == run.weight_set_id


def test_no_event_is_read() -> None:
    make_customer("c1", login=2)
    run = activate()
    with CaptureQueriesContext(connection) as queries:
        work_off(run)
    assert len(queries) > 5
    assert [query["sql"] for query in queries if "events_event" in query["sql"]] == []


def test_until_a_customers_turn_comes_readers_see_the_old_score_and_the_set_it_came_from() -> None:
    old = active_set("1.0").pk
    for number in range(3):
        make_customer(f"c{number}", login=2)
    before = score_of("c0")[0]
    run = activate()

    rescore.rescore(run, limit=1)

    assert sorted(score_of(f"c{number}") for number in range(3)) == sorted(
        [(before, old), (before, old), (0.5, run.weight_set_id)]
    )


def test_a_customer_whose_score_stays_the_same_is_under_the_new_set_without_a_new_row() -> None:
    make_customer("c1", login=30)
    rows = len(rows_of("c1"))
    run = work_off(activate({}))
    assert score_of("c1") == (0.1, run.weight_set_id)
    assert len(rows_of("c1")) == rows


class Killed(BaseException):
    """An exception in place of a SIGKILL: no code handles it."""


@pytest.mark.parametrize("dies_in", ["publish_delta", "settle"])
def test_a_worker_that_dies_leaves_nobody_behind(monkeypatch: pytest.MonkeyPatch, dies_in: str) -> None:
    for number in range(4):
        make_customer(f"c{number}", login=2)
    run = activate()

    def die(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, dies_in, die)
        with pytest.raises(Killed):
            rescore.rescore(run, limit=2)
    assert Customer.objects.filter(weight_set=run.weight_set_id).count() == 2

    assert work_off(run).state == "done"
    Publication.objects.update(due_at=Now())
    assert outbox.publish_overdue() == 2
    assert {cached(f"c{number}")["engagement_score"] for number in range(4)} == {"0.5"}


def test_a_run_that_nobody_goes_on_with_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = activate()
    sent: list[Any] = []

    def send(name: str, **options: Any) -> None:
        if name == "features.rescore":  # the customer lists are filled in by another run
            sent.append((name, options["args"]))

    monkeypatch.setattr(tasks.current_app, "send_task", send)
    tasks.resume_runs_task()
    assert sent == []
    with connection.cursor() as cursor:
        cursor.execute("update features_run set updated_at = now() - interval '1 minute'")
    tasks.resume_runs_task()
    assert sent == [("features.rescore", [run.pk])]


def test_a_run_that_later_weights_overtook_stops_and_says_so() -> None:
    make_customer("c1", login=2)
    first, second = activate(), activate({"login": (0.8, 2.0)})

    assert work_off(first).state == "overtaken"
    assert work_off(second).state == "done"
    assert score_of("c1") == (0.8, second.weight_set_id)


def test_rolling_back_gives_every_customer_the_very_score_it_had() -> None:
    awkward = {"login": (0.1, 7.0), "page_view": (0.7, 3.0)}
    first = work_off(activate(awkward))
    customers = [make_customer(f"c{number}", login=number, page_view=number % 3) for number in range(1, 9)]
    before = {customer: cached(customer)["engagement_score"] for customer in customers}
    work_off(activate())
    assert before != {customer: cached(customer)["engagement_score"] for customer in customers}

    work_off(weight_set_steps.roll_back(first.weight_set_id or 0, by=None, reason="Back"))

    assert before == {customer: cached(customer)["engagement_score"] for customer in customers}


def test_the_task_works_a_run_off_and_can_run_twice() -> None:
    make_customer("c1", login=2)
    run = activate()
    tasks.rescore_task(run.pk)
    tasks.rescore_task(run.pk)
    assert Run.objects.get(pk=run.pk).state == "done"
    assert score_of("c1")[0] == 0.5


def test_the_activation_sends_the_run_to_a_worker(
    django_capture_on_commit_callbacks: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(runs, "enqueue", lambda *call: sent.append(call))
    with django_capture_on_commit_callbacks(execute=True):
        run = activate()
    assert sent == [("features.rescore", run.pk)]
    assert WeightSet.objects.get(state="active").runs.get() == run


def test_rolling_back_changes_no_bit_of_three_thousand_random_customers() -> None:
    load(3_000)
    before = fingerprint()
    work_off(activate({"purchase": (0.75, 10.0), "login": (0.1, 12.0)}))
    assert fingerprint() != before
    work_off(weight_set_steps.roll_back(WeightSet.objects.order_by("pk")[0].pk, by=None, reason="Back"))
    assert fingerprint() == before
    assert before.endswith(" of 3000 customers")
