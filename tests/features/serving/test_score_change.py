"""The change of a score between two moments, taken apart."""

from datetime import UTC, datetime, timedelta
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.event_types import EVENT_TYPES
from features.formulas.behavioral import Weights
from features.lifecycle import weight_set_steps
from features.materialization import recompute
from features.serving.explanation import contributions
from features.serving.score_change import (
    ScoreChange,
    decompose,
    event_moves,
    listed_events,
    score_change,
    weight_sets_between,
)
from tests.factories import ago, first_weights, make_customer, make_event, make_event_type, make_weight_set

counts = st.fixed_dictionaries({name: st.integers(0, 5_000) for name in EVENT_TYPES})
weights = st.builds(
    Weights,
    weight=st.fixed_dictionaries({name: st.floats(0, 100) for name in EVENT_TYPES}),
    norm=st.fixed_dictionaries({name: st.floats(0.001, 10_000) for name in EVENT_TYPES}),
    monetary_norm=st.just(1000.0),
)


def score(of: dict[str, int], weights: Weights) -> float:
    return min(contributions(of, weights=weights, names=EVENT_TYPES)["unclamped_score"], 1.0)


# --- The parts -------------------------------------------------------------------------------------------------------


@given(before=counts, after=counts, old=weights, new=weights)
def test_the_parts_add_up_to_the_change_of_the_score(
    before: dict[str, int], after: dict[str, int], old: Weights, new: Weights
) -> None:
    parts = decompose(before, after, old_weights=old, new_weights=new, names=EVENT_TYPES)
    of_types = [change for each in parts.types for change in (each.by_events, each.by_weights)]
    total = fsum([*of_types, parts.cap_before, parts.cap_after])
    assert total == pytest.approx(score(after, new) - score(before, old), abs=1e-10)


@given(before=counts, after=counts, old=weights)
def test_unchanged_weights_and_unchanged_counts_have_no_part(
    before: dict[str, int], after: dict[str, int], old: Weights
) -> None:
    assert decompose(before, after, old_weights=old, new_weights=old, names=EVENT_TYPES).by_weights == 0
    assert decompose(before, before, old_weights=old, new_weights=old, names=EVENT_TYPES).by_events == 0


def test_a_part_is_the_difference_of_weighted_shares() -> None:
    before, after = dict.fromkeys(EVENT_TYPES, 0) | {"page_view": 50, "login": 30}, dict.fromkeys(EVENT_TYPES, 0)
    after["page_view"] = 80
    parts = {each.event_type: each for each in change_of(before, after).types}
    assert parts["page_view"].by_events == pytest.approx(0.09)
    assert parts["login"].by_events == pytest.approx(-0.1)
    assert parts["purchase"].by_events == 0


def test_what_was_beyond_one_is_a_part_of_its_own() -> None:
    all_of_it = {"page_view": 100, "email_open": 50, "email_click": 0, "form_submit": 20, "purchase": 10, "login": 30}
    parts = change_of(all_of_it, all_of_it | {"purchase": 0})
    assert (parts.cap_before, parts.cap_after) == (pytest.approx(0.1), 0)
    assert parts.by_events == pytest.approx(-0.3)
    assert change_of(all_of_it | {"purchase": 0}, all_of_it).cap_after == pytest.approx(-0.1)


def change_of(before: dict[str, int], after: dict[str, int]):  # type: ignore[no-untyped-def]
    first = first_weights()
    return decompose(before, after, old_weights=first, new_weights=first, names=EVENT_TYPES)


# --- A customer's change ---------------------------------------------------------------------------------------------

pages = [make_event(customer_id="a", timestamp=ago(days=35, minutes=number)) for number in range(50)]
logins = [make_event(customer_id="a", event_type="login", timestamp=ago(days=2, minutes=number)) for number in range(3)]


def customer_with_a_past() -> datetime:
    """Make customer "a", with a score of 0.15 a week ago and one of 0.01 now; return the moment of the first."""
    make_customer("a", events=[*pages, *logins])
    week_ago = ago(days=7)
    recompute.recompute_customers(customer_ids=["a"], as_of=week_ago)
    return week_ago


def changed(before: datetime, after: datetime | None = None) -> ScoreChange:
    found = score_change("a", before=before, after=after or datetime.now(UTC))
    assert found is not None
    return found


@pytest.mark.django_db
def test_a_fall_is_explained_by_the_events_that_left_the_window_and_those_that_came() -> None:
    change = changed(customer_with_a_past())
    assert (change.before.score, change.after.score) == (pytest.approx(0.15), pytest.approx(0.01))
    assert change.change == pytest.approx(-0.14)
    parts = {each.event_type: each.by_events for each in change.parts.types if each.by_events}
    assert parts == {"page_view": pytest.approx(-0.15), "login": pytest.approx(0.01)}
    moves = {each.event_type: (each.came, each.left, each.other) for each in event_moves("a", change)}
    assert moves["page_view"] == (0, 50, 0)
    assert moves["login"] == (3, 0, 0)
    came, left = listed_events("a", change)
    assert ([event.event_type for event in came], len(left)) == (["login"] * 3, 50)


@pytest.mark.django_db
def test_an_event_that_arrived_late_is_told_apart() -> None:
    week_ago = customer_with_a_past()
    make_customer("a", events=[make_event(event_type="login", timestamp=ago(days=10))])
    moves = {each.event_type: each for each in event_moves("a", changed(week_ago))}
    assert (moves["login"].counts, moves["login"].came, moves["login"].other) == ((0, 4), 3, 1)


@pytest.mark.django_db
def test_new_weights_are_a_part_with_the_set_and_its_person() -> None:
    make_customer("a", login=30)
    first = ago(seconds=0)
    new = make_weight_set(name="Logins", weights={"login": (0.4, 30)})
    weight_set_steps.activate(new.pk, by=None, reason="Logins tell more")
    recompute.recompute_customers(customer_ids=["a"], as_of=datetime.now(UTC))
    change = changed(first)
    assert change.parts.by_events == 0
    assert change.parts.by_weights == pytest.approx(0.3)
    assert weight_sets_between(change) == [new]


@pytest.mark.django_db
def test_before_the_first_score_the_change_counts_from_it() -> None:
    week_ago = customer_with_a_past()
    change = changed(ago(days=400))
    assert (change.before.since, change.before.moment) == (week_ago, week_ago)
    assert change.asked is not None


@pytest.mark.django_db
def test_nobody_has_a_change_before_their_first_score() -> None:
    make_customer("a", login=1)
    assert score_change("a", before=ago(days=9), after=ago(days=8)) is None
    assert score_change("nobody", before=ago(days=9), after=ago(days=8)) is None


@pytest.mark.django_db
def test_a_moment_at_which_a_score_was_recorded_has_that_score() -> None:
    week_ago = customer_with_a_past()
    assert changed(week_ago - timedelta(microseconds=1)).asked is not None
    assert changed(week_ago).asked is None


@pytest.mark.django_db
def test_a_further_type_that_came_is_a_part_of_the_change() -> None:
    make_event_type("trial_started")
    draft = make_weight_set()
    draft.weights.create(event_type="trial_started", weight=0.4, norm=2.0)
    weight_set_steps.activate(draft.pk, by=None, reason="Trials count")
    make_customer("c1", page_view=1)
    before = datetime.now(UTC)
    make_customer("c1", trial_started=1)
    change = score_change("c1", before=before, after=datetime.now(UTC))
    assert change is not None
    parts = {each.event_type: each for each in change.parts.types}
    assert parts["trial_started"].by_events == pytest.approx(0.2)
    assert parts["trial_started"].counts == (0, 1)
    assert next(each for each in event_moves("c1", change) if each.event_type == "trial_started").other == 1
