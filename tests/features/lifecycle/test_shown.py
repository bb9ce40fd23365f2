"""Steps act on what their person was shown, and on nothing else: a change in between refuses the step."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from pytest_django import Settings

from featurehub.access.models import create_api_key
from featurehub.lib.errors import ConflictError, InvalidError
from features.formulas.behavioral import Weights
from features.lifecycle import drafts, version_steps, weight_set_steps
from features.lifecycle.shown import Change
from features.lifecycle.steps import ChangedSinceError, lock_versions
from features.models import FeatureDefinition, FeatureVersion, VersionUse, WeightSet
from features.registry.weight_sets import active_set, as_weights
from tests.at_once import at_once, during
from tests.factories import ago, first_weights, make_definition, make_version, make_weight_set
from tests.staff import seen_by

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LOGINS: dict[str, Any] = {"event_type": "login", "window": "7d"}


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob")


def draft_by(user: User | None) -> WeightSet:
    return weight_set_steps.draft_weight_set(version="1.0", name="Mine", reason="Try", numbers=first_weights(), by=user)


def other_numbers(purchase: float = 0.9) -> Weights:
    return replace(first_weights(), weight={**first_weights().weight, "purchase": purchase})


def swap_numbers(weight_set: WeightSet, *, by: User | None, numbers: Weights | None = None) -> None:
    """Replace the numbers of a proposed set, and propose it again, as an author does who has the page open."""
    weight_set_steps.set_numbers(
        weight_set.pk, numbers=numbers or other_numbers(), name="Mine", by=by, reason="Only this one"
    )
    weight_set_steps.propose(weight_set.pk, by=None, reason="As before")


# --- Weight sets ----------------------------------------------------------------------------------------------------


def test_numbers_that_were_swapped_after_the_look_are_not_approved(ann: User, bob: User, settings: Settings) -> None:
    settings.TWO_PERSON_APPROVAL = True
    weight_set = draft_by(ann)
    weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
    looked = seen_by(bob, weight_set)
    swap_numbers(weight_set, by=ann)

    with pytest.raises(ChangedSinceError, match=r"Purchase: weight: 0\.3 → 0\.9") as caught:
        weight_set_steps.approve(weight_set.pk, **looked, reason="Looks right")

    assert caught.value.changes == [Change(label="Purchase: weight", before="0.3", after="0.9")]
    assert "proposed by FeatureHub at" in caught.value.summary
    weight_set.refresh_from_db()
    assert (weight_set.state, weight_set.approved_by) == ("proposed", None)
    weight_set_steps.approve(weight_set.pk, **seen_by(bob, weight_set), reason="Looks right too")
    weight_set.refresh_from_db()
    assert (weight_set.state, weight_set.approved_by) == ("approved", bob)


def test_a_person_takes_no_step_without_a_look(ann: User) -> None:
    with pytest.raises(InvalidError, match="what you were shown"):
        weight_set_steps.activate(draft_by(ann).pk, by=ann, reason="Go")
    with pytest.raises(InvalidError, match="what you were shown"):
        drafts.discard(make_version("customer").pk, by=ann, reason="Go")


@pytest.mark.parametrize(
    "numbers",
    [
        other_numbers(0.30000000000000004),
        replace(first_weights(), norm={**first_weights().norm, "login": 31.0}),
        replace(first_weights(), monetary_norm=1000.0000000000001),
    ],
)
def test_the_last_digit_of_every_number_counts(ann: User, numbers: Weights) -> None:
    weight_set = draft_by(ann)
    looked = seen_by(ann, weight_set)
    weight_set_steps.set_numbers(weight_set.pk, numbers=numbers, name="Mine", by=None, reason="A touch")
    with pytest.raises(ChangedSinceError) as caught:
        weight_set_steps.activate(weight_set.pk, **looked, reason="Go")
    assert len(caught.value.changes) == 1
    assert active_set("1.0").pk != weight_set.pk


SET_STEPS: dict[str, tuple[str, Callable[..., object]]] = {
    "propose": ("draft", weight_set_steps.propose),
    "approve": ("proposed", weight_set_steps.approve),
    "activate": ("approved", weight_set_steps.activate),
    "schedule": (
        "approved",
        lambda pk, **given: weight_set_steps.schedule(pk, at=NOW + timedelta(days=1), now=NOW, **given),
    ),
    "start_shadow": ("approved", weight_set_steps.start_shadow),
    "send_back": ("approved", weight_set_steps.send_back),
}


@pytest.mark.parametrize("name", SET_STEPS)
def test_every_step_of_a_set_compares(ann: User, name: str) -> None:
    state, step = SET_STEPS[name]
    weight_set = draft_by(None)

    def bring_to_state() -> None:
        if state != "draft":
            weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
        if state == "approved":
            weight_set_steps.approve(weight_set.pk, by=None, reason="Fine")

    bring_to_state()
    looked = seen_by(ann, weight_set)
    weight_set_steps.set_numbers(weight_set.pk, numbers=other_numbers(), name="Mine", by=None, reason="Swapped")
    bring_to_state()
    with pytest.raises(ChangedSinceError):
        step(weight_set.pk, **looked, reason="Go")
    weight_set.refresh_from_db()
    assert (weight_set.state, weight_set.shadow_since) == (state, None)
    step(weight_set.pk, **seen_by(ann, weight_set), reason="Go")


def test_weights_that_were_activated_after_the_look_are_not_replaced(ann: User) -> None:
    """Somebody rolls back in a hurry while another activation waits for its button."""
    weight_set, first = draft_by(ann), active_set("1.0")
    looked = seen_by(ann, weight_set)
    faster = make_weight_set(name="Faster")
    weight_set_steps.activate(faster.pk, by=None, reason="In a hurry")
    with pytest.raises(ChangedSinceError, match=rf"Active now: .*\(#{first.pk}\) → Faster \(#{faster.pk}\)"):
        weight_set_steps.activate(weight_set.pk, **looked, reason="Go")
    assert active_set("1.0").pk == faster.pk

    looked = seen_by(ann, first)
    fastest = make_weight_set(name="Fastest")
    weight_set_steps.activate(fastest.pk, by=None, reason="In a greater hurry")
    with pytest.raises(ChangedSinceError, match=r"Active now: Faster .* → Fastest"):
        weight_set_steps.roll_back(first.pk, **looked, reason="Back")
    assert active_set("1.0").pk == fastest.pk


def test_a_schedule_that_was_moved_after_the_look_is_not_cancelled(ann: User) -> None:
    weight_set = draft_by(ann)
    weight_set_steps.schedule(weight_set.pk, at=NOW + timedelta(days=1), now=NOW, by=None, reason="Tomorrow")
    looked = seen_by(ann, weight_set)
    weight_set_steps.schedule(weight_set.pk, at=NOW + timedelta(days=2), now=NOW, by=None, reason="Later")
    with pytest.raises(ChangedSinceError, match="Scheduled for: 2026-06-02 12:00 UTC → 2026-06-03 12:00 UTC"):
        weight_set_steps.unschedule(weight_set.pk, **looked, reason="Not tomorrow")


# --- Versions -------------------------------------------------------------------------------------------------------


def swap_feature(version: FeatureVersion) -> None:
    drafts.remove_definition(version.pk, version.definitions.get(name="logins_7d"), by=None)
    drafts.add_definitions(version.pk, [make_definition("clicks", "behavioral", event_type="email_click")], by=None)


def redefine(version: FeatureVersion) -> None:
    FeatureDefinition.objects.filter(name="logins_7d").update(window_hours=90 * 24)


def change_default(version: FeatureVersion) -> None:
    FeatureDefinition.objects.filter(name="logins_7d").update(default=7.0)


def shorten(version: FeatureVersion) -> None:
    drafts.set_time_to_live(version.pk, 60, by=None, reason="Short")


def replace_live(version: FeatureVersion) -> None:
    make_version("behavioral", "3.0", state="live")


def replace_weights(version: FeatureVersion) -> None:
    owner = {} if version.state == "draft" else {"version": version}
    weight_set_steps.activate(make_weight_set(weights={"login": (0.9, 5.0)}, **owner).pk, by=None, reason="Go")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (swap_feature, "logins_7d: Number of login events over 7 days; 0 where there is no value → none"),
        (redefine, "over 7 days.* → Number of login events over 90 days"),
        (change_default, "0 where there is no value → .*; 7 where there is no value"),
        (shorten, "Time to live: values do not expire → values expire after 60 s"),
        (replace_live, r"Live now: behavioral:1\.0 → behavioral:3\.0"),
        (replace_weights, "Weights: .* → Draft"),
    ],
)
def test_a_draft_that_changed_after_the_look_does_not_go_into_shadow(
    ann: User, change: Callable[[FeatureVersion], None], named: str
) -> None:
    version = make_version("behavioral", logins_7d=LOGINS)
    looked = seen_by(ann, version)
    change(version)
    with pytest.raises(ChangedSinceError, match=named):
        version_steps.put_into_shadow(version.pk, **looked, reason="Go")
    version.refresh_from_db()
    assert version.state == "draft"


@pytest.mark.parametrize("change", [shorten, replace_live, replace_weights])
def test_a_version_does_not_go_live_otherwise_than_it_was_shown(
    ann: User, change: Callable[[FeatureVersion], None]
) -> None:
    version = make_version("behavioral", state="shadow")
    looked = seen_by(ann, version)
    change(version)
    with pytest.raises(ChangedSinceError):
        version_steps.go_live(version.pk, **looked, reason="Go")
    version.refresh_from_db()
    assert version.state == "shadow"


def test_a_version_that_somebody_began_to_read_after_the_look_is_not_retired(ann: User) -> None:
    version = make_version("customer", state="shadow")
    for name in ("checkout", "search"):
        looked = seen_by(ann, version)
        key, _ = create_api_key(name, scopes=["read"])
        VersionUse.objects.create(api_key=key, version=version, kind="read", used_at=ago(hours=1))
    with pytest.raises(ChangedSinceError, match=r"by: checkout \(read\) → checkout \(read\), search \(read\)"):
        version_steps.retire(version.pk, **looked, reason="Go", confirmed=True)
    VersionUse.objects.update(used_at=ago(minutes=1))  # the same programs, later
    version_steps.retire(version.pk, **seen_by(ann, version), reason="Go", confirmed=True)


# --- At the same time -----------------------------------------------------------------------------------------------


def test_an_approval_that_waits_for_a_swap_of_the_numbers_is_refused(committed: None) -> None:
    ann, bob = (User.objects.create_user(name) for name in ("ann", "bob"))
    try:
        weight_set = draft_by(ann)
        weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
        looked = seen_by(bob, weight_set)

        def approve() -> None:
            with pytest.raises(ChangedSinceError, match=r"Purchase: weight: 0\.3 → 0\.9"):
                weight_set_steps.approve(weight_set.pk, **looked, reason="Looks right")

        during(lambda: swap_numbers(weight_set, by=ann), approve)
        weight_set.refresh_from_db()
        assert (weight_set.state, weight_set.approved_by) == ("proposed", None)
    finally:
        User.objects.filter(pk__in=[ann.pk, bob.pk]).delete()


def test_whoever_approves_has_seen_the_numbers_that_are_approved(committed: None) -> None:
    """Ten races between a swap and an approval: either comes first, and no approval stands on numbers not seen."""
    bob = User.objects.create_user("bob")
    try:
        outcomes = {race_of_swap_and_approval(bob) for _ in range(10)}
    finally:
        User.objects.filter(pk=bob.pk).delete()
    assert outcomes <= {("approved", 0.3), ("proposed", 0.9)}


def race_of_swap_and_approval(bob: User) -> tuple[str, float]:
    """Return the set's state and its weight of a purchase after a swap and an approval at the same time."""
    weight_set = draft_by(None)
    weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
    looked = seen_by(bob, weight_set)

    def swap() -> None:
        with transaction.atomic():
            lock_versions()
            if WeightSet.objects.get(pk=weight_set.pk).state == "proposed":
                swap_numbers(weight_set, by=None)

    def approve() -> None:
        try:
            weight_set_steps.approve(weight_set.pk, **looked, reason="Looks right")
        except ConflictError:
            return

    at_once(swap, approve)
    weight_set.refresh_from_db()
    return weight_set.state, as_weights(weight_set).weight["purchase"]


def test_a_definition_that_changes_during_the_step_is_compared_or_refused(committed: None) -> None:
    ann = User.objects.create_user("ann")
    try:
        version = make_version("behavioral", logins_7d=LOGINS)
        looked = seen_by(ann, version)

        def go_into_shadow() -> None:
            with pytest.raises(ChangedSinceError, match="over 90 days"):
                version_steps.put_into_shadow(version.pk, **looked, reason="Go")

        during(lambda: redefine(version), go_into_shadow)
        version.refresh_from_db()
        assert version.state == "draft"
    finally:
        User.objects.filter(pk=ann.pk).delete()
