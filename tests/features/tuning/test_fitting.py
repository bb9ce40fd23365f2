"""Weights fitted to later purchases: better ones are proposed with evidence, and activated only inside guardrails."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from django.db import OperationalError
from django_celery_beat.models import PeriodicTask
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from events.event_types import EVENT_TYPES
from features import tasks
from features.lifecycle import weight_set_steps
from features.models import Backtest, Fitting, WeightSet
from features.registry.weight_sets import active_set, as_weights
from features.tuning import fitting
from features.tuning.fitting import days_before, fit_and_propose, fitted_weights, loss
from features.tuning.past import PastDay
from tests.factories import first_weights, make_event, make_weight_set, store_events

TODAY = date(2026, 6, 1)


@pytest.fixture
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "LEAST_BUYERS", {"training": 20, "held-out": 10})


@pytest.fixture
def wide_guardrails(settings: Settings) -> None:
    settings.AUTO_ACTIVATION = True
    settings.AUTO_ACTIVATION_LARGEST_CHANGE = 2.0
    settings.AUTO_ACTIVATION_LEAST_GAIN = 0.0
    settings.AUTO_ACTIVATION_LEAST_CUSTOMERS = 1


def at(day: date, *, days: float) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC) + timedelta(days=days)


def store_history() -> None:
    """Store events of every scored day: logins of customers that buy, and page views of those that do not."""
    training, held_out = days_before(TODAY)
    events = []
    for number, day in enumerate([*training, *held_out]):
        for customer in range(20):
            buys = customer % 3 == 0
            name = f"d{number}-c{customer}"
            done = ["login"] * (2 + customer % 4) if buys else ["page_view"] * (30 + customer)
            events += [make_event(customer_id=name, event_type=kind, timestamp=at(day, days=-0.5)) for kind in done]
            if buys:
                events.append(make_event(customer_id=name, event_type="purchase", timestamp=at(day, days=6)))
    store_events(*events)


def columns(size: int, *, bought: Any, **counts: Any) -> PastDay:
    zeros = np.zeros(size, dtype=np.int64)
    return PastDay(
        customers=np.arange(size), counts={name: counts.get(name, zeros) for name in EVENT_TYPES}, bought=bought
    )


def test_what_tells_buyers_apart_gets_the_weight_and_the_sum_stays() -> None:
    random = np.random.default_rng(3)
    logins, views = random.integers(0, 30, 4_000), random.integers(0, 100, 4_000)
    bought = random.random(4_000) < 0.05 + 0.9 * logins / 30
    weights = fitted_weights(columns(4_000, bought=bought, login=logins, page_view=views), active=first_weights())
    assert sum(weights.weight.values()) == pytest.approx(1.1, abs=0.001)
    assert weights.weight["login"] > 0.9
    assert min(weights.weight.values()) >= 0.0
    assert weights.norm == first_weights().norm


def test_an_event_type_that_speaks_against_a_purchase_gets_no_negative_weight() -> None:
    random = np.random.default_rng(3)
    logins, views = random.integers(0, 30, 2_000), random.integers(0, 100, 2_000)
    bought = random.random(2_000) < np.clip(0.3 + 0.5 * logins / 30 - 0.3 * views / 100, 0, 1)
    weights = fitted_weights(columns(2_000, bought=bought, login=logins, page_view=views), active=first_weights())
    assert weights.weight["page_view"] == 0.0


def test_counts_that_say_nothing_propose_nothing() -> None:
    views = np.arange(200)
    with pytest.raises(fitting.TooLittleDataError, match="No event type told buyers"):
        fitted_weights(columns(200, bought=views < 100, page_view=views), active=first_weights())


@given(parameters=st.lists(st.floats(-3, 3), min_size=3, max_size=3), seed=st.integers(0, 99))
def test_the_gradient_is_that_of_the_loss(parameters: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix, bought = np.column_stack([random.random((30, 2)), np.ones(30)]), (random.random(30) < 0.4).astype(float)
    point, step = np.array(parameters), 1e-6
    gradient = loss(point, matrix, bought)[1]
    for place in range(3):
        aside = np.eye(3)[place] * step
        slope = (loss(point + aside, matrix, bought)[0] - loss(point - aside, matrix, bought)[0]) / (2 * step)
        assert gradient[place] == pytest.approx(slope, abs=1e-5)


def test_training_sees_no_purchase_that_the_held_out_days_look_at() -> None:
    training, held_out = days_before(TODAY)
    horizon = timedelta(days=fitting.HORIZON_DAYS)
    assert max(training) + horizon <= min(held_out)
    assert max(held_out) + horizon <= TODAY
    assert [(later - earlier).days for earlier, later in pairwise(training)] == [7] * 7


@pytest.mark.django_db
def test_better_weights_are_proposed_with_their_evidence(small_numbers: None) -> None:
    store_history()
    outcome = fit_and_propose(version="1.0", today=TODAY)
    proposal = WeightSet.objects.get(origin="proposal")
    assert outcome.weight_set == proposal
    assert (proposal.state, proposal.created_by) == ("proposed", None)
    assert as_weights(proposal).weight["login"] > as_weights(active_set("1.0")).weight["login"]
    evidence = Backtest.objects.get(weight_set=proposal)
    assert evidence.result["auc_change"]["low"] > 0
    assert [day["day"] for day in evidence.result["days"]] == [day.isoformat() for day in days_before(TODAY)[1]]
    assert "auto-activation is off" in proposal.steps.get(action="proposed").reason


@pytest.mark.django_db
def test_too_little_data_is_said_and_nothing_is_proposed() -> None:
    assert "Too little data" in fit_and_propose(version="1.0", today=TODAY).outcome
    store_history()
    assert (
        "at least 100 of each are needed. Nothing is proposed." in fit_and_propose(version="1.0", today=TODAY).outcome
    )
    assert not WeightSet.objects.filter(origin="proposal").exists()


@pytest.mark.django_db
def test_weights_that_are_no_better_are_not_proposed(small_numbers: None) -> None:
    only_logins = {name: (1.1 if name == "login" else 0.0, 30.0) for name in EVENT_TYPES}
    weight_set_steps.activate(make_weight_set(weights=only_logins).pk, by=None, reason="Already right")
    store_history()
    refused = fit_and_propose(version="1.0", today=TODAY)
    assert "no better than the active ones" in refused.outcome
    assert refused.numbers is not None
    assert set(refused.numbers["weight"]) == set(EVENT_TYPES)
    assert not WeightSet.objects.filter(origin="proposal").exists()


@pytest.mark.django_db
def test_while_a_proposal_waits_no_other_is_filed(small_numbers: None) -> None:
    store_history()
    fit_and_propose(version="1.0", today=TODAY)
    assert "still waits for a decision" in fit_and_propose(version="1.0", today=TODAY).outcome
    assert WeightSet.objects.filter(origin="proposal").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("is_automatic", "reason"), [(False, "still waits for a decision"), (True, "is not active any more")]
)
def test_of_two_fits_at_once_one_files_its_proposal(
    small_numbers: None,
    wide_guardrails: None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    is_automatic: bool,
    reason: str,
) -> None:
    """The second is begun and done while the first one still fits."""
    settings.AUTO_ACTIVATION = is_automatic
    store_history()
    fit = fitting.fit
    others: list[Fitting] = []

    def fit_slowly(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(fitting, "fit", fit)
        others.append(fit_and_propose(version="1.0", today=TODAY))
        return fit(*args, **named)

    monkeypatch.setattr(fitting, "fit", fit_slowly)
    outcome = fit_and_propose(version="1.0", today=TODAY)
    proposal = WeightSet.objects.get(origin="proposal")
    assert (others[0].weight_set, outcome.weight_set) == (proposal, None)
    assert reason in outcome.outcome


@pytest.mark.django_db
def test_inside_the_guardrails_it_is_activated_and_the_timeline_says_so(
    small_numbers: None, wide_guardrails: None
) -> None:
    store_history()
    outcome = fit_and_propose(version="1.0", today=TODAY)
    active = active_set("1.0")
    assert (active.origin, outcome.weight_set) == ("proposal", active)
    assert "By itself, as the settings allow. Inside the guardrails." in active.steps.get(action="activated").reason


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("AUTO_ACTIVATION", False, "auto-activation is off"),
        ("TWO_PERSON_APPROVAL", True, "approval takes two persons"),
        ("AUTO_ACTIVATION_LARGEST_CHANGE", 0.05, "more than 0.05"),
        ("AUTO_ACTIVATION_LEAST_GAIN", 0.999, "the gain is less than 0.999"),
        ("AUTO_ACTIVATION_LEAST_CUSTOMERS", 10_000, "fewer than 10000 customers"),
    ],
)
def test_outside_any_guardrail_it_waits_for_a_person(
    small_numbers: None, wide_guardrails: None, settings: Settings, name: str, value: float, sentence: str
) -> None:
    store_history()
    setattr(settings, name, value)
    fit_and_propose(version="1.0", today=TODAY)
    proposal = WeightSet.objects.get(origin="proposal")
    assert proposal.state == "proposed"
    assert sentence in proposal.steps.get(action="proposed").reason


@pytest.mark.django_db
def test_the_periodic_task_is_there_and_off_until_it_is_enabled() -> None:
    task = PeriodicTask.objects.get(task="features.fit_weights")
    assert not task.enabled
    tasks.fit_weights_task()
    assert "Too little data" in Fitting.objects.get().outcome


def test_a_fit_that_the_database_broke_off_is_tried_again(committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, failed = fitting.fit, []

    def fail_once(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(fitting, "fit", fit)
        failed.append(OperationalError("the connection is gone"))
        raise failed[0]

    monkeypatch.setattr(fitting, "fit", fail_once)
    tasks.fit_weights_task.apply()
    assert len(failed) == 1
    assert "Too little data" in Fitting.objects.get().outcome


@pytest.mark.django_db
def test_a_decided_proposal_makes_room_for_the_next(small_numbers: None) -> None:
    store_history()
    fit_and_propose(version="1.0", today=TODAY)
    weight_set_steps.activate(WeightSet.objects.get(origin="proposal").pk, by=None, reason="Go")
    assert "still waits" not in fit_and_propose(version="1.0", today=TODAY).outcome


def test_a_further_type_that_tells_buyers_apart_gets_a_weight() -> None:
    random = np.random.default_rng(3)
    trials = random.integers(0, 100, 4_000)
    bought = random.random(4_000) < 0.05 + 0.9 * trials / 100
    found = columns(4_000, bought=bought)
    weights = fitted_weights(
        PastDay(customers=found.customers, counts=found.counts | {"trial_started": trials}, bought=bought),
        active=first_weights(),
    )
    assert weights.weight_of("trial_started") > 0.9
    assert weights.norm_of("trial_started") == 100.0
