"""The life of a version: its steps, their effects, and the transitions that the database refuses."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from featurehub.access.models import ApiKey, create_api_key
from featurehub.lib.errors import ConflictError, FeatureHubError, InvalidError, UnknownError
from features.lifecycle import drafts, version_steps
from features.lifecycle import weight_set_steps as weights_lifecycle
from features.lifecycle.uses import StillUsedError
from features.materialization import recompute, renewal, rescore, runs
from features.models import FeatureVersion, FeatureVersionStep, Renewal, Run, VersionUse, WeightSet
from features.registry.snapshot import SWITCH_AFTER, registry_snapshot
from features.registry.weight_sets import active_set, as_weights
from tests.at_once import at_once
from tests.factories import ago, make_customer, make_definition, make_version, make_weight_set, rows_of
from tests.staff import seen_by

LOGINS: dict[str, dict[str, Any]] = {"logins_7d": {"event_type": "login", "window": "7d"}}


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def enqueued(db: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Record the messages sent to workers, in the list that is returned."""
    messages: list[tuple[str, int]] = []
    monkeypatch.setattr(runs, "enqueue", lambda task, run_id: messages.append((task, run_id)))
    return messages


def live(feature_type: str) -> FeatureVersion:
    return FeatureVersion.objects.get(feature_type=feature_type, state="live")


def state_of(version: FeatureVersion) -> str:
    return FeatureVersion.objects.get(pk=version.pk).state


def steps_of(version: FeatureVersion) -> list[tuple[str, str | None, str]]:
    return [(step.state, step.by.username if step.by else None, step.reason) for step in version.steps.all()]


def used_by(name: str, version: FeatureVersion, *, days: float, kind: str = "read") -> ApiKey:
    key, _ = create_api_key(name, scopes=["read"])
    VersionUse.objects.create(api_key=key, version=version, kind=kind, used_at=ago(days=days))
    return key


def test_a_version_goes_from_draft_to_retired_and_each_step_is_recorded(ann: User) -> None:
    first, version = live("customer"), drafts.draft_version("customer", "2.0", by=ann, reason="Pets")
    version_steps.put_into_shadow(version.pk, **seen_by(ann, version), reason="Write both")
    version_steps.go_live(version.pk, **seen_by(ann, version), reason="Better")
    FeatureVersion.objects.filter(pk=version.pk).update(live_from=ago(seconds=1))
    version_steps.retire(first.pk, **seen_by(ann, first), reason="Nobody needs it")
    assert (state_of(first), state_of(version)) == ("retired", "live")
    assert steps_of(version) == [
        ("draft", "ann", "From customer:1.0. Pets"),
        ("shadow", "ann", "Write both"),
        ("live", "ann", "Better"),
    ]
    assert steps_of(first) == [
        ("deprecated", "ann", "customer:2.0 goes live. Better"),
        ("retired", "ann", "Nobody needs it"),
    ]


def test_there_is_a_way_back(ann: User) -> None:
    first, version = live("behavioral"), make_version("behavioral", state="live")
    version_steps.go_live(first.pk, **seen_by(ann, first), reason="It was better")
    assert (state_of(first), state_of(version)) == ("live", "deprecated")
    assert steps_of(first)[-1] == ("live", "ann", "It was better")


STEPS: dict[str, Callable[..., object]] = {
    "put_into_shadow": version_steps.put_into_shadow,
    "go_live": version_steps.go_live,
    "retire": version_steps.retire,
}


@pytest.mark.parametrize(
    ("step", "state"),
    [
        *(("put_into_shadow", state) for state in ("shadow", "live", "deprecated", "retired")),
        *(("go_live", state) for state in ("draft", "live", "retired")),
        *(("retire", state) for state in ("draft", "live", "retired")),
    ],
)
def test_a_step_that_is_not_next_is_refused(ann: User, step: str, state: str) -> None:
    version = make_version("behavioral", state=state)
    before = steps_of(version)
    with pytest.raises(ConflictError, match=f"behavioral:2.0 is {state} by now"):
        STEPS[step](version.pk, by=ann, reason="Try")
    assert (state_of(version), steps_of(version)) == (state, before)


ALLOWED = {
    ("draft", "shadow"),
    ("shadow", "live"),
    ("shadow", "retired"),
    ("live", "deprecated"),
    ("deprecated", "live"),
    ("deprecated", "retired"),
}


@pytest.mark.parametrize("state", ["draft", "shadow", "live", "deprecated", "retired"])
def test_the_database_allows_these_steps_and_no_others(db: None, state: str) -> None:
    version = make_version("behavioral", state=state)
    changed = FeatureVersion.objects.filter(pk=version.pk)
    FeatureVersion.objects.filter(feature_type="behavioral", state="live").exclude(pk=version.pk).update(
        state="deprecated"
    )

    def is_allowed(following: str) -> bool:
        try:
            with transaction.atomic():
                changed.update(state=following, live_from=ago())
                transaction.set_rollback(True)
        except IntegrityError as error:
            return "does not go from" not in str(error)
        return True

    others = sorted(set(FeatureVersion.State.values) - {state})
    assert {(state, other) for other in others if is_allowed(other)} == {pair for pair in ALLOWED if pair[0] == state}


@pytest.mark.parametrize("step", STEPS.values())
def test_every_step_needs_a_reason_and_a_version(ann: User, step: Callable[..., object]) -> None:
    with pytest.raises(InvalidError, match="Say why"):
        step(live("behavioral").pk, by=ann, reason=" ")
    with pytest.raises(UnknownError, match="no version 999999"):
        step(999_999, by=ann, reason="Try")


def test_the_timeline_is_only_ever_appended(db: None) -> None:
    version = make_version("behavioral")
    with pytest.raises(IntegrityError, match="only ever appended"), transaction.atomic():
        FeatureVersionStep.objects.filter(version=version).update(reason="Something nicer")


# --- Into shadow ----------------------------------------------------------------------------------------------------


def test_a_version_in_shadow_can_be_read_and_computes_everybody(
    enqueued: list[tuple[str, int]], django_capture_on_commit_callbacks: Any
) -> None:
    version = make_version("behavioral", **LOGINS)
    registry_snapshot.get()
    with django_capture_on_commit_callbacks(execute=True):
        run = version_steps.put_into_shadow(version.pk, by=None, reason="Compare")
    assert run is not None
    assert (run.kind, run.version, run.state, run.as_of) == (Run.Kind.RECOMPUTE, version, Run.State.RUNNING, None)
    assert enqueued == [("features.recompute", run.pk)]
    view = registry_snapshot.get().views["behavioral", "2.0"]
    assert "logins_7d" in view.windowed
    assert registry_snapshot.get().live["behavioral"] == "1.0"


@pytest.mark.parametrize("feature_type", ["customer", "contextual"])
def test_what_clients_write_needs_no_computing(enqueued: list[tuple[str, int]], feature_type: str) -> None:
    assert version_steps.put_into_shadow(make_version(feature_type).pk, by=None, reason="Try") is None
    assert not Run.objects.exists()


def test_a_behavioral_version_gets_the_live_weights_as_its_own(ann: User) -> None:
    weights_lifecycle.activate(make_weight_set(weights={"login": (0.7, 9.0)}).pk, by=None, reason="Go")
    rescores = Run.objects.filter(kind=Run.Kind.RESCORE).count()
    version = make_version("behavioral")
    version_steps.put_into_shadow(version.pk, **seen_by(ann, version), reason="Compare")
    own, lives = active_set("2.0"), active_set("1.0")
    assert (own.version, own.origin, as_weights(own)) == (version, WeightSet.Origin.HAND, as_weights(lives))
    assert own.reason == f"The weights of behavioral:1.0, {lives}, for behavioral:2.0. Compare"
    assert [step.action for step in own.steps.all()] == ["created", "activated"]
    assert own.activated_by == ann
    assert lives.activated_at is not None
    assert own.activated_at is not None
    assert own.activated_at > lives.activated_at
    assert Run.objects.filter(kind=Run.Kind.RESCORE).count() == rescores


def empty(version: FeatureVersion) -> None:
    version.definitions.clear()


def of_no_kind(version: FeatureVersion) -> None:
    version.definitions.add(make_definition("mood", "behavioral", kind=""))


def without_expression(version: FeatureVersion) -> None:
    version.definitions.add(make_definition("mood", "derived"))


def with_an_unknown_name(version: FeatureVersion) -> None:
    version.definitions.add(make_definition("mood", "derived", expression="recency_scor * 2"))


def with_what_does_not_parse(version: FeatureVersion) -> None:
    version.definitions.add(make_definition("mood", "derived", expression="recency_score *"))


def with_a_cycle(version: FeatureVersion) -> None:
    version.definitions.add(
        make_definition("one", "derived", expression="two + 1"), make_definition("two", "derived", expression="one + 1")
    )


def with_a_draft_as_input(version: FeatureVersion) -> None:
    make_version("behavioral")
    drafts.set_inputs(version.pk, {"behavioral": "2.0"}, by=None, reason="Try")


def without_an_input(version: FeatureVersion) -> None:
    drafts.set_inputs(version.pk, {"customer": "1.0"}, by=None, reason="Try")


@pytest.mark.parametrize(
    ("feature_type", "spoil", "sentence"),
    [
        ("behavioral", empty, "has no feature yet"),
        ("customer", empty, "has no feature yet"),
        ("behavioral", of_no_kind, "Nothing computes mood"),
        ("derived", without_expression, "mood has no expression"),
        ("derived", with_an_unknown_name, "Did you mean recency_score?"),
        ("derived", with_what_does_not_parse, "Invalid expression"),
        ("derived", with_a_cycle, "A feature can't use itself: one → two → one|two → one → two"),
        ("derived", with_a_draft_as_input, "input behavioral:2.0 can't be read"),
        ("derived", without_an_input, "rfm_score uses"),
    ],
)
def test_what_cannot_be_computed_stays_a_draft(
    db: None, feature_type: str, spoil: Callable[[FeatureVersion], None], sentence: str
) -> None:
    version = make_version(feature_type)
    spoil(version)
    with pytest.raises(InvalidError, match=sentence):
        version_steps.put_into_shadow(version.pk, by=None, reason="Try")
    assert state_of(version) == "draft"
    assert not Run.objects.exists()
    assert not WeightSet.objects.filter(version=version).exists()


def test_a_derived_version_may_be_computed_from_one_in_shadow(db: None) -> None:
    make_version("behavioral", state="shadow", **LOGINS)
    version = make_version("derived", mood={"expression": "clamp(logins_7d / 7, 0, 1)"})
    drafts.set_inputs(version.pk, {"behavioral": "2.0"}, by=None, reason="It has logins_7d")
    version_steps.put_into_shadow(version.pk, by=None, reason="Try")
    assert state_of(version) == "shadow"


# --- Live -----------------------------------------------------------------------------------------------------------


def test_readers_are_switched_at_one_moment_ahead(db: None, django_capture_on_commit_callbacks: Any) -> None:
    first, version = live("behavioral"), make_version("behavioral", state="shadow")
    before = datetime.now(UTC)
    with django_capture_on_commit_callbacks(execute=True):
        version_steps.go_live(version.pk, by=None, reason="Go")
    version.refresh_from_db()
    assert version.live_from is not None
    assert before + SWITCH_AFTER - timedelta(seconds=1) < version.live_from < datetime.now(UTC) + SWITCH_AFTER
    assert (state_of(first), state_of(version)) == ("deprecated", "live")
    known = registry_snapshot.get()
    assert known.live["behavioral"] == "1.0"
    assert known.seconds_to_switch == pytest.approx(10, abs=5)
    assert set(Renewal.objects.values_list("due_at", flat=True)) == {version.live_from}


def test_what_is_being_renewed_when_a_version_goes_live_is_renewed_again_after(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = make_version("behavioral", state="shadow")

    def go_live_meanwhile(buckets: list[int], **_: Any) -> Iterator[Any]:
        version_steps.go_live(version.pk, by=None, reason="Go")
        yield from ()

    monkeypatch.setattr(renewal, "renewable", go_live_meanwhile)
    assert renewal.renew() == renewal.BUCKETS_PER_CLAIM
    version.refresh_from_db()
    assert set(Renewal.objects.values_list("due_at", flat=True)) == {version.live_from}


def test_going_live_changes_nothing_of_what_another_version_is_computed_from(db: None) -> None:
    make_version("behavioral", state="live")
    assert live("derived").inputs["behavioral"] == "1.0"
    assert live("derived").state == "live"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"state": "running", "done": 1_200, "total": 5_000}, "1,200 of 5,000 customers are done"),
        ({"state": "failed", "error": "The disk is full."}, "failed: The disk is full. Compute them again"),
    ],
)
def test_a_version_does_not_go_live_before_everybody_has_its_values(
    db: None, changes: dict[str, Any], sentence: str
) -> None:
    version = make_version("behavioral", state="shadow")
    version.runs.update(**changes)
    with pytest.raises(ConflictError, match=sentence):
        version_steps.go_live(version.pk, by=None, reason="Go")
    assert state_of(version) == "shadow"


def test_a_computation_that_failed_is_done_again(enqueued: list[tuple[str, int]], ann: User) -> None:
    version = make_version("behavioral", state="shadow")
    version.runs.update(state="failed", error="The disk is full.")
    run = version_steps.compute_again(version.pk, **seen_by(ann, version), reason="There is space now")
    assert (run.version, run.state) == (version, Run.State.RUNNING)
    assert steps_of(version)[-1] == ("shadow", "ann", "Computing all customers again. There is space now")
    with pytest.raises(ConflictError, match="are being computed"):
        version_steps.compute_again(version.pk, **seen_by(ann, version), reason="Once more")


def test_new_weights_that_are_handed_on_start_no_re_scoring_while_everybody_is_computed(db: None) -> None:
    make_customer("c1", login=1)
    version = make_version("behavioral")
    run = version_steps.put_into_shadow(version.pk, by=None, reason="Compare")
    assert run is not None
    assert runs.catch_up() == []
    while recompute.load_chunk(run):
        pass
    run.refresh_from_db()
    assert (run.state, run.done) == (Run.State.DONE, 1)
    assert runs.catch_up() == []
    assert [row.version for row in rows_of("c1")] == ["1.0", "2.0"]
    version_steps.go_live(version.pk, by=None, reason="Go")


def test_who_was_computed_while_a_version_went_into_shadow_gets_its_values_by_the_sweep(db: None) -> None:
    make_customer("c1", login=1)
    make_version("behavioral", state="shadow", **LOGINS)  # the run ends without c1
    (run,) = runs.catch_up()
    assert rescore.rescore(run) == 1
    assert {row.version: row.features.get("logins_7d") for row in rows_of("c1")} == {"1.0": None, "2.0": 1.0}
    assert runs.catch_up() == []


def test_what_clients_write_is_not_computed_again(db: None) -> None:
    with pytest.raises(ConflictError, match="Clients write"):
        version_steps.compute_again(live("customer").pk, by=None, reason="Try")


def test_the_database_has_one_live_version_a_type_and_it_is_dated(db: None) -> None:
    version = make_version("behavioral", state="shadow")
    with pytest.raises(IntegrityError, match="version_one_live"), transaction.atomic():
        FeatureVersion.objects.filter(pk=version.pk).update(state="live", live_from=ago())
    with pytest.raises(IntegrityError, match="version_that_went_live_is_dated"), transaction.atomic():
        FeatureVersion.objects.filter(feature_type="behavioral").update(live_from=None)


def test_the_database_computes_a_version_once_at_a_time(db: None) -> None:
    version = make_version("behavioral", state="shadow")
    Run.objects.create(kind="recompute", version=version)
    with pytest.raises(IntegrityError, match="run_one_of_a_version_at_a_time"), transaction.atomic():
        Run.objects.create(kind="recompute", version=version)


# --- Out of use -----------------------------------------------------------------------------------------------------


def test_a_version_that_another_is_computed_from_is_not_retired(db: None) -> None:
    version = make_version("behavioral", state="live")
    with pytest.raises(ConflictError, match=r"derived:1\.0 is computed from behavioral:1\.0: retire"):
        version_steps.retire(
            FeatureVersion.objects.get(feature_type="behavioral", number="1.0").pk, by=None, reason="Old"
        )
    assert state_of(version) == "live"


def test_an_input_that_no_expression_uses_holds_nobody(db: None) -> None:
    first = live("customer")
    make_version("customer", state="live")
    assert live("derived").inputs["customer"] == "1.0"
    version_steps.retire(first.pk, by=None, reason="Old")
    assert state_of(first) == "retired"


def test_a_version_is_not_retired_before_readers_are_switched_from_it(db: None) -> None:
    first, version = live("customer"), make_version("customer", state="shadow")
    version_steps.go_live(version.pk, by=None, reason="Go")
    with pytest.raises(ConflictError, match=r"switched to customer:2.0 at \d\d:\d\d:\d\d UTC"):
        version_steps.retire(first.pk, by=None, reason="Old")
    assert state_of(first) == "deprecated"


def test_who_read_a_version_lately_is_asked_about_before_it_is_retired(db: None) -> None:
    version = make_version("customer", state="deprecated")
    used_by("checkout", version, days=1)
    used_by("search", version, days=6.9)
    used_by("gone", version, days=8)
    with pytest.raises(StillUsedError, match=r"read by checkout at \d{4}-.* UTC, read by search at ") as caught:
        version_steps.retire(version.pk, by=None, reason="Old")
    assert (caught.value.code, [use.api_key.name for use in caught.value.uses]) == (
        "still_used",
        ["checkout", "search"],
    )
    assert state_of(version) == "deprecated"
    version_steps.retire(version.pk, by=None, reason="They know", confirmed=True)
    assert state_of(version) == "retired"


def test_who_only_writes_a_version_is_asked_about_too(db: None) -> None:
    version = make_version("customer", state="deprecated")
    used_by("crm", version, days=1, kind="write")
    with pytest.raises(StillUsedError, match=r"written by crm at \d{4}-"):
        version_steps.retire(version.pk, by=None, reason="Old")
    version_steps.retire(version.pk, by=None, reason="They know", confirmed=True)
    assert state_of(version) == "retired"


def test_of_many_readers_some_are_named(db: None) -> None:
    version = make_version("customer", state="shadow")
    for number in range(8):
        used_by(f"key-{number}", version, days=1)
    with pytest.raises(StillUsedError, match="and 3 more"):
        version_steps.retire(version.pk, by=None, reason="Old")


def test_a_retired_version_is_not_read(db: None, django_capture_on_commit_callbacks: Any) -> None:
    version = make_version("customer", state="shadow")
    registry_snapshot.get()
    with django_capture_on_commit_callbacks(execute=True):
        version_steps.retire(version.pk, by=None, reason="A mistake")
    assert ("customer", "2.0") not in registry_snapshot.get().views
    assert ("customer", "2.0") in registry_snapshot.get().started


# --- At once --------------------------------------------------------------------------------------------------------


def attempt(step: Callable[..., object], version: FeatureVersion) -> Callable[[], str]:
    def run() -> str:
        try:
            step(version.pk, by=None, reason="Go")
        except FeatureHubError as error:
            return error.code
        return "done"

    return run


def test_of_two_steps_at_once_one_is_taken(committed: None) -> None:
    drafted = make_version("customer")
    for step in (version_steps.put_into_shadow, version_steps.go_live):
        assert sorted(at_once(attempt(step, drafted), attempt(step, drafted))) == ["conflict", "done"]
    assert state_of(drafted) == "live"
    assert [step.state for step in drafted.steps.all()] == ["draft", "shadow", "live"]


def test_an_addition_and_a_step_at_once_wait_for_each_other(committed: None) -> None:
    version = make_version("behavioral")
    made = make_definition("logins_7d", "behavioral")

    def add(version_id: int, *, by: None, reason: str) -> None:
        drafts.add_definitions(version_id, [made], by=by)

    added, stepped = at_once(attempt(add, version), attempt(version_steps.put_into_shadow, version))
    assert stepped == "done"
    assert (added == "done") == version.definitions.filter(pk=made.pk).exists()


# --- Its weights -----------------------------------------------------------------------------------------------------


def weight_steps(weight_set: WeightSet) -> list[tuple[str, str | None, str]]:
    return [(step.action, step.by.username if step.by else None, step.reason) for step in weight_set.steps.all()]


def test_retiring_a_version_supersedes_its_active_weights_and_says_so(ann: User) -> None:
    version = make_version("behavioral", state="shadow")
    weight_set = version.weight_sets.get()
    version_steps.retire(version.pk, **seen_by(ann, version), reason="A mistake")
    weight_set.refresh_from_db()
    assert weight_set.state == "superseded"
    assert weight_steps(weight_set)[-1] == ("superseded", "ann", "behavioral:2.0 is retired. A mistake")
    assert list(WeightSet.objects.filter(state="active")) == [active_set("1.0")]


@pytest.mark.parametrize("state", ["proposed", "approved", "scheduled"])
def test_retiring_a_version_makes_drafts_of_the_weights_on_their_way(ann: User, state: str) -> None:
    version = make_version("behavioral", state="shadow")
    weight_set = make_weight_set(version=version)
    weights_lifecycle.propose(weight_set.pk, by=None, reason="Ready")
    if state != "proposed":
        weights_lifecycle.approve(weight_set.pk, by=None, reason="Good")
    weights_lifecycle.start_shadow(weight_set.pk, by=None, reason="Watch")
    if state == "scheduled":
        weights_lifecycle.schedule(weight_set.pk, at=ago(hours=-1), now=ago(), by=None, reason="Soon")
    version_steps.retire(version.pk, **seen_by(ann, version), reason="A mistake")
    weight_set.refresh_from_db()
    assert (weight_set.state, weight_set.activate_at, weight_set.shadow_since) == ("draft", None, None)
    assert weight_steps(weight_set)[-1] == ("sent_back", "ann", "behavioral:2.0 is retired. A mistake")
    assert weights_lifecycle.activate_due(now=ago(days=-1)) == []


def test_no_weights_of_a_retired_version_are_drafted_proposed_activated_or_rolled_back_to(ann: User) -> None:
    version = make_version("behavioral", state="shadow")
    earlier, unused = version.weight_sets.get(), make_weight_set(version=version)
    version_steps.retire(version.pk, **seen_by(ann, version), reason="A mistake")
    numbers = as_weights(earlier)
    for step in (
        lambda: weights_lifecycle.draft_weight_set(version="2.0", name="New", reason="Try", numbers=numbers, by=ann),
        lambda: weights_lifecycle.propose(unused.pk, **seen_by(ann, unused), reason="Try"),
        lambda: weights_lifecycle.activate(unused.pk, **seen_by(ann, unused), reason="Try"),
        lambda: weights_lifecycle.roll_back(earlier.pk, **seen_by(ann, earlier), reason="Try"),
    ):
        with pytest.raises(ConflictError, match=r"behavioral:2\.0 is retired"):
            step()
    assert sorted(row.state for row in version.weight_sets.all()) == ["draft", "superseded"]


def test_nobody_is_scored_again_because_the_version_whose_weights_came_last_is_retired(db: None) -> None:
    """Customers are noted with the set that was activated last, of any version."""
    version = make_version("behavioral", state="shadow")
    make_customer("before", login=1)
    version_steps.retire(version.pk, by=None, reason="A mistake")
    registry_snapshot.forget()
    make_customer("after", login=1)
    assert runs.catch_up() == []
    assert rows_of("after")[-1].metadata["weight_set"] == active_set("1.0").pk


@pytest.mark.parametrize(("number", "is_refused"), [(51, False), (300, False), (301, True)])
def test_a_draft_with_more_windows_than_can_be_aggregated_stays_a_draft(
    db: None, number: int, is_refused: bool
) -> None:
    windows = {f"w_{place}": {"event_type": "login", "window": f"{1 + place % 90}d"} for place in range(number)}
    version = make_version(**windows)
    if is_refused:
        with pytest.raises(InvalidError, match="would have 301 windowed features, and 300 is the most"):
            version_steps.put_into_shadow(version.pk, by=None, reason="Try")
    else:
        version_steps.put_into_shadow(version.pk, by=None, reason="Try")
    assert state_of(version) == ("draft" if is_refused else "shadow")
