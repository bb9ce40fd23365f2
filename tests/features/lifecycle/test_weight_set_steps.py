"""The life of a weight set: its steps, the permissions for them, their record, and what the database refuses."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, connections, transaction
from pytest_django import Settings

from featurehub.access.models import Scope, create_api_key
from featurehub.lib.errors import ConflictError, FeatureHubError, InvalidError
from features.formulas.behavioral import Weights
from features.lifecycle import weight_set_steps
from features.models import Run, VersionUse, Weight, WeightSet
from features.registry.weight_sets import active_set, as_weights
from tests.factories import make_weight_set
from tests.staff import seen_by

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob")


@pytest.fixture
def two_persons(settings: Settings) -> None:
    settings.TWO_PERSON_APPROVAL = True


def state_of(weight_set: WeightSet) -> str:
    return WeightSet.objects.get(pk=weight_set.pk).state


def steps_of(weight_set: WeightSet) -> list[tuple[str, str | None, str]]:
    return [(step.action, step.by.username if step.by else None, step.reason) for step in weight_set.steps.all()]


def draft_of(user: User) -> WeightSet:
    active = active_set("1.0")
    return weight_set_steps.draft_weight_set(
        version="1.0", name="Mine", reason="Try", numbers=as_weights(active), by=user
    )


def test_a_set_goes_from_draft_to_superseded_and_each_step_is_recorded(ann: User, bob: User, two_persons: None) -> None:
    first = active_set("1.0")
    weight_set = draft_of(ann)

    weight_set_steps.propose(weight_set.pk, **seen_by(ann, weight_set), reason="Ready")
    weight_set_steps.approve(weight_set.pk, **seen_by(bob, weight_set), reason="Looks right")
    weight_set_steps.schedule(
        weight_set.pk, at=NOW + timedelta(hours=1), now=NOW, **seen_by(bob, weight_set), reason="After lunch"
    )
    assert weight_set_steps.activate_due(now=NOW) == []
    runs = weight_set_steps.activate_due(now=NOW + timedelta(hours=1))

    assert [run.weight_set_id for run in runs] == [weight_set.pk]
    assert (state_of(weight_set), state_of(first)) == ("active", "superseded")
    assert steps_of(weight_set) == [
        ("created", "ann", "Try"),
        ("proposed", "ann", "Ready"),
        ("approved", "bob", "Looks right"),
        ("scheduled", "bob", "For 2026-06-01 13:00 UTC. After lunch"),
        ("activated", "bob", "Its scheduled moment has come."),
    ]
    assert steps_of(first)[-1] == ("superseded", "bob", f"By {weight_set}")


def test_one_person_is_enough_unless_the_setting_asks_for_two(ann: User) -> None:
    weight_set = draft_of(ann)
    weight_set_steps.activate(weight_set.pk, **seen_by(ann, weight_set), reason="Go")
    weight_set.refresh_from_db()
    assert (weight_set.state, weight_set.approved_by, weight_set.activated_by) == ("active", ann, ann)


def test_with_two_persons_an_author_cannot_approve(ann: User, bob: User, two_persons: None) -> None:
    weight_set = draft_of(ann)
    weight_set_steps.propose(weight_set.pk, **seen_by(bob, weight_set), reason="I like it")
    with pytest.raises(ConflictError, match="somebody else has to approve"):
        weight_set_steps.approve(weight_set.pk, **seen_by(ann, weight_set), reason="Me too")
    weight_set_steps.approve(weight_set.pk, **seen_by(bob, weight_set), reason="Fine")
    assert state_of(weight_set) == "approved"


@pytest.mark.parametrize("until", ["draft", "proposed"])
def test_with_two_persons_nothing_goes_live_without_an_approval(ann: User, two_persons: None, until: str) -> None:
    weight_set = draft_of(ann)
    if until == "proposed":
        weight_set_steps.propose(weight_set.pk, **seen_by(ann, weight_set), reason="Ready")
    with pytest.raises(ConflictError, match=until):
        weight_set_steps.activate(weight_set.pk, **seen_by(ann, weight_set), reason="Go")
    with pytest.raises(ConflictError, match=until):
        weight_set_steps.schedule(
            weight_set.pk, at=NOW + timedelta(days=1), now=NOW, **seen_by(ann, weight_set), reason="Go"
        )


@pytest.mark.parametrize("state", ["proposed", "approved", "scheduled"])
def test_reopening_a_set_takes_its_approval_and_schedule_away(ann: User, bob: User, state: str) -> None:
    weight_set = draft_of(ann)
    weight_set_steps.propose(weight_set.pk, **seen_by(ann, weight_set), reason="Ready")
    if state != "proposed":
        weight_set_steps.approve(weight_set.pk, **seen_by(bob, weight_set), reason="Fine")
    if state == "scheduled":
        weight_set_steps.schedule(
            weight_set.pk, at=NOW + timedelta(days=1), now=NOW, **seen_by(bob, weight_set), reason="Tomorrow"
        )

    weight_set_steps.reopen(weight_set.pk, by=ann, reason="One more number")

    weight_set.refresh_from_db()
    assert weight_set.state == "draft"
    assert (weight_set.approved_by, weight_set.approved_at, weight_set.activate_at) == (None, None, None)


def test_an_activated_set_is_not_reopened(ann: User) -> None:
    with pytest.raises(ConflictError, match="Make a new draft"):
        weight_set_steps.reopen(active_set("1.0").pk, by=ann, reason="Change it")


def test_a_set_taken_off_the_schedule_stays_approved(ann: User) -> None:
    weight_set = draft_of(ann)
    weight_set_steps.schedule(
        weight_set.pk, at=NOW + timedelta(days=1), now=NOW, **seen_by(ann, weight_set), reason="Tomorrow"
    )
    weight_set_steps.unschedule(weight_set.pk, **seen_by(ann, weight_set), reason="Not yet")
    assert state_of(weight_set) == "approved"
    assert weight_set_steps.activate_due(now=NOW + timedelta(days=2)) == []


def test_a_moment_that_has_passed_is_refused(ann: User) -> None:
    weight_set = draft_of(ann)
    with pytest.raises(InvalidError, match="has passed") as caught:
        weight_set_steps.schedule(weight_set.pk, at=NOW, now=NOW, **seen_by(ann, weight_set), reason="Go")
    assert caught.value.attr == "at"
    assert state_of(weight_set) == "draft"


@pytest.mark.parametrize("reason", ["", "  \n "])
def test_every_step_needs_a_reason(ann: User, reason: str) -> None:
    weight_set = draft_of(ann)
    with pytest.raises(InvalidError, match="Say why"):
        weight_set_steps.activate(weight_set.pk, **seen_by(ann, weight_set), reason=reason)
    assert state_of(weight_set) == "draft"


def test_all_zero_weights_are_not_activated(ann: User) -> None:
    zeros = {row.event_type: (0.0, row.norm) for row in active_set("1.0").weights.all()}
    weight_set = make_weight_set(weights=zeros)
    with pytest.raises(InvalidError, match="All weights"):
        weight_set_steps.activate(weight_set.pk, **seen_by(ann, weight_set), reason="Go")


def test_a_set_without_a_row_for_an_event_type_is_activated_with_weight_0_and_norm_100(ann: User) -> None:
    weight_set = make_weight_set()
    weight_set.weights.get(event_type="email_click").delete()
    weight_set_steps.activate(weight_set.pk, **seen_by(ann, weight_set), reason="Go")
    numbers = as_weights(active_set("1.0"))
    assert (numbers.weight_of("email_click"), numbers.norm_of("email_click")) == (0.0, 100.0)


def test_rolling_back_makes_a_new_set_with_the_very_numbers_of_the_old_one(ann: User) -> None:
    first = active_set("1.0")
    awkward = Weights(
        weight={**as_weights(first).weight, "purchase": 0.1 + 0.2}, norm=as_weights(first).norm, monetary_norm=1 / 3
    )
    second = weight_set_steps.draft_weight_set(version="1.0", name="Awkward", reason="Doubles", numbers=awkward, by=ann)
    weight_set_steps.activate(second.pk, **seen_by(ann, second), reason="Go")
    weight_set_steps.activate(draft_of(ann).pk, by=None, reason="Next")

    weight_set_steps.roll_back(second.pk, **seen_by(ann, second), reason="It was better")

    active = active_set("1.0")
    assert active.pk != second.pk
    assert (active.origin, as_weights(active)) == ("rollback", awkward)
    assert steps_of(active)[-1] == ("activated", "ann", f"Rolled back to {second}. It was better")


def test_only_a_set_that_was_active_can_be_rolled_back_to(ann: User) -> None:
    with pytest.raises(ConflictError):
        weight_set_steps.roll_back(draft_of(ann).pk, by=ann, reason="Why not")


def test_who_comes_too_late_is_told_who_was_faster(ann: User, bob: User) -> None:
    weight_set = draft_of(ann)
    weight_set_steps.activate(weight_set.pk, **seen_by(ann, weight_set), reason="Go")
    with pytest.raises(ConflictError, match=r"active by now \(activated by ann at \d\d:\d\d:\d\d UTC\)"):
        weight_set_steps.activate(weight_set.pk, **seen_by(bob, weight_set), reason="Go")
    assert Run.objects.filter(weight_set=weight_set).count() == 1


# --- What the database refuses, whoever asks ------------------------------------------------------------------------


def refused(**changes: Any) -> str:
    """Return the name of the constraint that keeps the draft from these changes."""
    weight_set = make_weight_set()
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        WeightSet.objects.filter(pk=weight_set.pk).update(**changes)
    return str(caught.value)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"state": "frozen"}, "weight_set_approval_is_dated"),
        ({"state": "approved"}, "weight_set_approval_is_dated"),
        ({"approved_at": NOW}, "weight_set_approval_is_dated"),
        ({"state": "scheduled", "approved_at": NOW}, "weight_set_schedule_has_a_moment"),
        ({"activate_at": NOW}, "weight_set_schedule_has_a_moment"),
        ({"activated_at": NOW}, "weight_set_activation_is_dated"),
        ({"state": "superseded"}, "weight_set_activation_is_dated"),
        ({"state": "active", "activated_at": NOW}, "weight_set_one_active"),
        ({"monetary_norm": 0.0}, "weight_set_monetary_norm_is_positive"),
        ({"monetary_norm": float("nan")}, "weight_set_monetary_norm_is_positive"),
    ],
)
def test_the_database_refuses_a_state_that_contradicts_itself(changes: dict[str, Any], constraint: str) -> None:
    assert constraint in refused(**changes)


@pytest.mark.django_db
@pytest.mark.parametrize("numbers", [{"weight": -0.1}, {"weight": float("inf")}, {"norm": 0.0}, {"norm": float("nan")}])
def test_the_database_refuses_weights_that_cannot_score(numbers: dict[str, float]) -> None:
    weight_set = make_weight_set()
    with pytest.raises(IntegrityError):
        weight_set.weights.filter(event_type="login").update(**numbers)


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["proposed", "active"])
def test_the_database_refuses_new_numbers_for_anything_but_a_draft(state: str) -> None:
    weight_set = active_set("1.0") if state == "active" else make_weight_set()
    if state == "proposed":
        weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
    for change in (
        lambda: Weight.objects.filter(weight_set=weight_set, event_type="login").update(weight=9.0),
        lambda: Weight.objects.filter(weight_set=weight_set, event_type="login").delete(),
        lambda: WeightSet.objects.filter(pk=weight_set.pk).update(monetary_norm=9.0),
    ):
        with pytest.raises(IntegrityError, match="draft only"), transaction.atomic():
            change()


@pytest.mark.django_db
def test_the_timeline_is_only_ever_appended(ann: User) -> None:
    weight_set = draft_of(ann)
    with pytest.raises(IntegrityError, match="only ever appended"):
        weight_set.steps.update(reason="Something nicer")


# --- At once --------------------------------------------------------------------------------------------------------


@pytest.fixture
def threads(committed: None) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def at_once(pool: ThreadPoolExecutor, *calls: Any) -> list[Any]:
    """Return what each call returned or raised (of FeatureHub's errors), all of them begun at one moment."""
    barrier = Barrier(len(calls))

    def run(call: Any) -> Any:
        barrier.wait()
        try:
            return call()
        except FeatureHubError as error:
            return error
        finally:
            connections.close_all()

    return [future.result() for future in [pool.submit(run, call) for call in calls]]


def test_of_two_activations_of_one_set_at_once_one_wins_and_the_other_is_told(threads: ThreadPoolExecutor) -> None:
    weight_set = make_weight_set()

    def activate() -> Run:
        return weight_set_steps.activate(weight_set.pk, by=None, reason="Go")

    answers = at_once(threads, activate, activate)

    assert sorted(type(answer).__name__ for answer in answers) == ["ConflictError", "Run"]
    assert Run.objects.filter(weight_set=weight_set).count() == 1


def test_of_two_sets_activated_at_once_the_later_one_is_active(threads: ThreadPoolExecutor) -> None:
    sets = [make_weight_set(name="A"), make_weight_set(name="B")]
    answers = at_once(threads, *[lambda pk=row.pk: weight_set_steps.activate(pk, by=None, reason="Go") for row in sets])

    assert all(isinstance(answer, Run) for answer in answers)
    assert sorted(state_of(row) for row in sets) == ["active", "superseded"]


def test_an_edit_and_an_activation_at_once_never_change_an_active_set(threads: ThreadPoolExecutor) -> None:
    weight_set = make_weight_set()

    def edit() -> str:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("update features_weight set weight = 0.9 where weight_set_id = %s", [weight_set.pk])
            cursor.execute("select pg_sleep(0.2)")
        return "edited"

    def edit_or_be_refused() -> str:
        try:
            return edit()
        except IntegrityError:
            return "refused"

    def activate() -> dict[str, float]:
        weight_set_steps.activate(weight_set.pk, by=None, reason="Go")
        return dict(as_weights(active_set("1.0")).weight)

    edited, activated_with = at_once(threads, edit_or_be_refused, activate)

    held = as_weights(active_set("1.0")).weight
    assert held == activated_with
    assert (set(held.values()) == {0.9}) == (edited == "edited")


def test_the_note_that_a_version_is_read_does_not_wait_for_a_step(threads: ThreadPoolExecutor) -> None:
    weight_set = make_weight_set()
    key, _ = create_api_key("reader", scopes=[str(Scope.READ)])

    def note() -> str:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("set local lock_timeout = '2s'")
                VersionUse.objects.create(api_key=key, version=weight_set.version, kind="read", used_at=NOW)
            return "noted"
        finally:
            connections.close_all()

    with transaction.atomic():
        weight_set_steps.activate(weight_set.pk, by=None, reason="Go")
        assert threads.submit(note).result() == "noted"
