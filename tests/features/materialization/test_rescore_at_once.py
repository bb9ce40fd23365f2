"""Re-scoring while others compute, activate and read."""

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from threading import Event
from typing import TypeAlias

import pytest
import pytest_django
from django.db import connections
from django_redis import get_redis_connection

from features import tasks
from features.lifecycle import weight_set_steps
from features.materialization import refresh, runs
from features.materialization.rescore import rescore as rescore_chunk
from features.models import Customer, FeatureVersion, Run, WeightSet
from features.online import layout, store
from features.online.publish import current_hashes
from features.registry.weight_sets import active_set
from features.serving.feature_store import get_feature_values
from tests.at_once import at_once, during
from tests.factories import cached, make_customer, make_event, make_weight_set, store_events

LOGINS_ONLY = dict.fromkeys(("page_view", "email_open", "email_click", "form_submit"), (0.0, 10.0)) | {
    "purchase": (0.0, 2.0),
    "login": (1.0, 4.0),
}
LOGINS_DOUBLED = LOGINS_ONLY | {"login": (1.0, 2.0)}


@pytest.fixture
def other_version(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> Iterator[str]:
    """Make a second behavioral version and return its number.

    It is deleted after `committed` has deleted its weight sets.
    """
    with django_db_blocker.unblock():
        version = FeatureVersion.objects.create(feature_type="behavioral", number="9.0")
        yield version.number
        version.delete()
        connections.close_all()


def sweep() -> list[tuple[str, list[int]]]:
    """Return the messages about re-scores that the sweep of runs sends; there are no workers."""
    sent: list[tuple[str, list[int]]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks.current_app, "send_task", lambda name, **message: sent.append((name, message["args"])))
        tasks.resume_runs_task()
    return [message for message in sent if message[0] == "features.rescore"]


def activate(weights: dict[str, tuple[float, float]] = LOGINS_ONLY) -> Run:
    return weight_set_steps.activate(make_weight_set(weights=weights).pk, by=None, reason="Go")


def activate_and_work_off() -> None:
    """Activate weights, and run a worker that finds nobody left to re-score."""
    tasks.rescore_task(activate().pk)


def compute_c1() -> None:
    store_events(*(make_event(event_type="login") for _ in range(2)))
    refresh.refresh_dirty()


def leave_c1_behind() -> Run:
    """Begin a new customer's computation before an activation, and commit it after the activation's run is done."""
    old = active_set("1.0")
    during(compute_c1, activate_and_work_off)
    assert Customer.objects.get(pk="c1").weight_set_id == old.pk
    run = Run.objects.get(kind=Run.Kind.RESCORE)
    assert (run.state, run.done, run.total) == ("done", 0, 0)
    return run


def test_a_new_customer_that_an_activation_missed_is_scored_by_the_next_sweep(committed: None) -> None:
    run = leave_c1_behind()

    assert sweep() == [("features.rescore", [run.pk])]

    run.refresh_from_db()
    assert (run.state, run.done, run.total) == ("running", 0, 1)
    tasks.rescore_task(run.pk)
    run.refresh_from_db()
    assert (run.state, run.done, run.total) == ("done", 1, 1)
    assert cached("c1")["engagement_score"] == "0.5"
    assert Customer.objects.get(pk="c1").weight_set_id == run.weight_set_id
    assert sweep() == []


def test_sweeps_at_once_open_one_run(committed: None) -> None:
    run = leave_c1_behind()
    assert sorted(at_once(*[runs.catch_up] * 4), key=len) == [[], [], [], [run]]


def test_weights_whose_run_is_gone_get_another(committed: None) -> None:
    leave_c1_behind().delete()
    [(_, [run_id])] = sweep()
    tasks.rescore_task(run_id)
    assert cached("c1")["engagement_score"] == "0.5"


def test_a_sweep_opens_nothing_where_nobody_is_left(committed: None) -> None:
    make_customer("c1", login=2)
    assert sweep() == []
    activate_and_work_off()
    assert sweep() == []
    assert [run.state for run in Run.objects.filter(kind=Run.Kind.RESCORE)] == ["done"]


def test_a_sweep_leaves_a_run_that_is_at_it_alone(committed: None) -> None:
    make_customer("c1", login=2)
    run = activate()
    assert sweep() == []
    assert Run.objects.get(kind=Run.Kind.RESCORE) == run


def activate_of(version: str) -> Run:
    numbers = weight_set_steps.as_weights(active_set("1.0"))
    draft = weight_set_steps.draft_weight_set(
        version=version, name="Of another version", reason="A test", numbers=numbers, by=None
    )
    return weight_set_steps.activate(draft.pk, by=None, reason="Go")


def test_sets_of_two_versions_do_not_chase_each_other(other_version: str, committed: None) -> None:
    first, second = activate(), activate_of(other_version)

    assert runs.overtaken(first)
    assert not runs.overtaken(second)
    assert second.weight_set_id not in runs.earlier_sets(first)
    assert set(runs.earlier_sets(second)) == set(runs.earlier_sets(first)) | {first.weight_set_id}
    assert runs.finish_rescore(first)
    assert runs.finish_rescore(second)
    assert [run.state for run in Run.objects.order_by("id")] == ["overtaken", "done"]
    assert WeightSet.objects.filter(state=WeightSet.State.ACTIVE).count() == 2


def test_activations_wait_for_each_other_whatever_the_version(other_version: str, committed: None) -> None:
    """A set that is committed later must have a later activation."""
    visible: list[int] = []

    def activate_another() -> None:
        activate_of(other_version)
        visible.append(Run.objects.count())

    during(activate, activate_another)
    assert visible == [2]
    moments = Run.objects.order_by("id").values_list("weight_set__activated_at", flat=True)
    assert list(moments) == sorted(moments)


Scores: TypeAlias = tuple[float, float, int]


def read(customers: list[str]) -> dict[str, Scores]:
    """Return customer → the engagement and the frequency score that a reader gets, and their weight set."""
    found = get_feature_values(customers, names=["engagement_score", "frequency_score"], with_metadata=True)
    return {
        customer: (
            values.features["engagement_score"],
            values.features["frequency_score"],
            values.metadata["behavioral"]["weight_set"],
        )
        for customer, values in zip(customers, found, strict=True)
    }


def exists(hashes: store.PublishedHashes) -> bool:
    """Return whether Redis holds the hash of the only customer.

    The stamp of a hash tells that a late write is older; a hash that Redis has lost can't.
    """
    return bool(get_redis_connection("default").exists(layout.key_of(*hashes.customer_ids, hashes.suffix)))


def in_turn(answers: list[dict[str, Scores]], customer: str) -> list[Scores]:
    """Return the different scores of a customer that one reader got, one after the other."""
    return [scores for scores, _ in groupby(values[customer] for values in answers)]


def test_a_reader_sees_the_old_or_the_new_scores_and_never_the_old_ones_again(committed: None) -> None:
    """Two values that change together are read from Redis and, where it has lost them, from PostgreSQL.

    A reader that had asked PostgreSQL before the activation refills Redis late, again and again.
    """
    customers = [f"c{number}" for number in range(60)]
    for customer in customers:
        make_customer(customer, login=2, purchase=1)
    before = read(customers)
    draft = make_weight_set(weights=LOGINS_ONLY)
    after = dict.fromkeys(customers, (0.5, 0.5, draft.pk))
    assert set(before.values()).isdisjoint(after.values())
    readers: list[list[dict[str, Scores]]] = [[before], [before]]
    late = [hashes for customer in customers for hashes in current_hashes([customer])]
    has_ended = Event()

    def rescore() -> None:
        try:
            run = weight_set_steps.activate(draft.pk, by=None, reason="Go")
            for number in range(len(customers)):
                get_redis_connection("default").delete(f"customer_features:{customers[-number]}")
                rescore_chunk(run, limit=3)
                store.write_hashes(hashes for hashes in late if exists(hashes))
            assert runs.finish_rescore(run)
        finally:
            has_ended.set()

    def read_again_and_again(answers: list[dict[str, Scores]]) -> None:
        while not has_ended.is_set():
            answers.append(read(customers))
        answers.append(read(customers))

    at_once(rescore, *(partial(read_again_and_again, answers) for answers in readers))

    assert read(customers) == after
    for answers in readers:
        assert len(answers) > 5
        for customer in customers:
            assert in_turn(answers, customer) == [before[customer], after[customer]]
