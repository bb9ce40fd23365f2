"""Any order of what clients, workers, operators and time do, against the model in `world`.

    MODEL_STEPS=10000 make test ARGS=tests/model

Each example is a transaction that is rolled back, under a clock of its own. After every step all values are read over
HTTP, and history is compared with what it was.
"""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.db import transaction
from django.test import TestCase
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from events.event_types import EVENT_TYPES
from features.formulas.behavioral import Weights
from features.lifecycle import drafts, version_steps, weight_set_steps
from features.materialization import recompute, refresh, rescore, runs
from features.models import CustomerFeature, FeatureVersion, Renewal, Run
from features.online import outbox
from features.registry.weight_sets import active_set
from tests.api_client import ApiClient
from tests.factories import forget_registry, make_definition, url_of
from tests.model.moved_clock import Clock, clock
from tests.model.world import (
    BEHAVIORAL,
    CART_LIVES,
    DAY,
    FIRST_NUMBERS,
    MONETARY_NORM,
    WRITTEN,
    Happened,
    Numbers,
    Trend,
    Version,
    World,
)

__all__ = ["clock"]
STEPS = int(os.environ.get("MODEL_STEPS", "2000"))
STEPS_PER_EXAMPLE = 50
SHRINK = bool(os.environ.get("MODEL_SHRINK"))
CUSTOMERS = ("c0", "c1", "c2")
TICK = timedelta(seconds=10)
WRITTEN_NAMES = [name for names in WRITTEN.values() for name in names]
MOST_VERSIONS = 3

customer_ids = st.sampled_from(CUSTOMERS)
# Ahead, now, and around the ends of the windows.
ages = st.sampled_from([
    timedelta(minutes=-4), timedelta(0), timedelta(hours=1) - TICK, timedelta(hours=1), timedelta(days=1),
    7 * DAY - TICK, 7 * DAY, 29 * DAY, 30 * DAY - 2 * TICK, 30 * DAY, 31 * DAY,
])  # fmt: skip
new_events = st.tuples(
    customer_ids, st.sampled_from(EVENT_TYPES), ages, st.sampled_from([None, None, "s1", "s2"]),
    st.sampled_from([0.0, 1.25, 40.0, 900.0]), st.sampled_from([None, None, "a", "b"]),
)  # fmt: skip
weights = st.dictionaries(
    st.sampled_from(EVENT_TYPES),
    st.tuples(st.sampled_from([0.0, 0.1, 0.5, 2.0]), st.sampled_from([1.0, 3.0, 20.0])),
    min_size=1,
)
durations = st.sampled_from([
    timedelta(seconds=50), timedelta(minutes=5), timedelta(minutes=30), timedelta(minutes=50), timedelta(hours=1),
    timedelta(hours=7), timedelta(days=1), timedelta(days=6), timedelta(days=23),
])  # fmt: skip
picks = st.integers(0, 1_000)


class FeatureHub(RuleBasedStateMachine):
    """The product and the model, side by side."""

    api: ApiClient
    clock: Clock
    own_redis: "redis.Redis[bytes]"

    def __init__(self) -> None:
        super().__init__()
        self.own_redis.flushdb()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.clock.begin()
        forget_registry()
        Renewal.objects.update(due_at=self.clock.now)
        self.world = World(CUSTOMERS, now=self.clock.now)
        self.world.versions["1.0"].active_id = active_set("1.0").pk
        self.sent: list[Happened] = []
        self.history: list[tuple[Any, ...]] = []
        self.refilled: list[str] = []
        self.last_moment: dict[tuple[str, str], datetime] = {}
        # What was served: moment, customer, live behavioral version, values.
        self.served: list[tuple[datetime, str, str, dict[str, float]]] = []

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)
        forget_registry()

    def go_on(self, duration: timedelta = TICK) -> None:
        self.clock.go_on(duration)
        was_live = self.world.live
        self.world.go_on(self.clock.now)
        if self.world.live != was_live:
            forget_registry()

    # --- Clients ------------------------------------------------------------------------------------------------------
    @initialize()
    def let_carts_expire(self) -> None:
        contextual = FeatureVersion.objects.get(feature_type="contextual")
        drafts.set_time_to_live(contextual.pk, int(CART_LIVES.total_seconds()), by=None, reason="A test")
        forget_registry()

    @rule(new=st.lists(new_events, max_size=4), again=st.lists(picks, max_size=2))
    def ingest(self, new: list[tuple[Any, ...]], again: list[int]) -> None:
        self.go_on()
        events = [self.sent[pick % len(self.sent)] for pick in again if self.sent]
        for customer_id, event_type, age, session, amount, category in new:
            events.append(
                Happened(f"e{len(self.sent)}", customer_id, event_type, self.clock.now - age, session, amount, category)
            )
            self.sent.append(events[-1])
        if not events:
            return
        response = self.api.post("/api/v1/events/", {"events": [as_posted(event) for event in events]})
        assert response.status_code == 201, response.content
        accepted, duplicates, refused = self.world.ingest(events)
        expected: dict[str, Any] = {"accepted": accepted, "duplicates": duplicates}
        if refused:
            expected["refused"] = [{"index": index, "reason": "erased"} for index in refused]
        assert response.json() == expected

    @rule(
        customer_id=customer_ids,
        feature_type=st.sampled_from(list(WRITTEN)),
        values=st.dictionaries(st.integers(0, 1), st.sampled_from([0.0, 1.0, 2.5]), min_size=1),
        age=st.sampled_from([None, timedelta(0), timedelta(hours=3), timedelta(days=2)]),
    )
    def write(self, customer_id: str, feature_type: str, values: dict[int, float], age: timedelta | None) -> None:
        self.go_on()
        at = self.clock.now - (age or timedelta(0))
        features = {WRITTEN[feature_type][place]: value for place, value in values.items()}
        body: dict[str, Any] = {"feature_type": feature_type, "version": "1.0", "features": features}
        if age is not None:
            body["timestamp"] = at.isoformat()
        response = self.api.patch(url_of(customer_id), body)
        if self.world.customers[customer_id].is_erased:
            assert response.status_code == 400
        else:
            assert response.status_code == 200, response.content
            assert response.json()["features"] == self.world.write(customer_id, feature_type, features, at=at)

    # --- Workers ------------------------------------------------------------------------------------------------------
    @rule()
    def settle_marks(self) -> None:
        self.go_on()
        with TestCase.captureOnCommitCallbacks(execute=True):
            while refresh.refresh_dirty():
                pass
        self.world.settle_marks()

    @rule()
    def renew(self) -> None:
        self.go_on()
        with TestCase.captureOnCommitCallbacks(execute=True):
            assert outbox.publish_overdue() == 0
            while refresh.refresh_active():
                pass
        self.world.refresh()

    @rule()
    def rescore(self) -> None:
        self.go_on()
        for run in Run.objects.filter(kind=Run.Kind.RESCORE, state=Run.State.RUNNING).order_by("-pk"):
            while rescore.rescore(run):
                pass
            assert runs.finish_rescore(run)
        self.world.rescore()

    # --- Operators ----------------------------------------------------------------------------------------------------
    @rule(pick=picks, changes=weights)
    def activate(self, pick: int, changes: Numbers) -> None:
        self.go_on()
        version = chosen(self.world.readable(), pick)
        numbers = {**version.numbers, **changes}
        if not any(weight for weight, _ in numbers.values()):
            return
        draft = weight_set_steps.draft_weight_set(
            version=version.number, name="Draft", reason="A test", numbers=as_weights(numbers), by=None
        )
        weight_set_steps.activate(draft.pk, by=None, reason="A test")
        self.note_activation(version, numbers)

    @rule(pick=picks, which=picks)
    def roll_back(self, pick: int, which: int) -> None:
        version = chosen(self.world.readable(), pick)
        if version.earlier:
            self.go_on()
            pk, numbers = chosen(version.earlier, which)
            weight_set_steps.roll_back(pk, by=None, reason="A test")
            self.note_activation(version, numbers)

    def note_activation(self, version: Version, numbers: Numbers) -> None:
        version.earlier.append((version.active_id, version.numbers))
        version.numbers, version.active_id = numbers, active_set(version.number).pk
        version.activated_at = self.world.activated_at = self.clock.now

    @precondition(lambda self: len(self.world.versions) < MOST_VERSIONS)
    @rule(hours=st.sampled_from([1, 24, 7 * 24, 40 * 24]), half_life=st.sampled_from([None, 2.0]))
    def put_into_shadow(self, hours: int, half_life: float | None) -> None:
        self.go_on()
        number = f"{len(self.world.versions) + 1}.0"
        trend = Trend(f"trend_{len(self.world.versions)}", timedelta(hours=hours), half_life)
        live = FeatureVersion.objects.get(feature_type="behavioral", state="live")
        before = self.world.versions[live.number]
        draft = drafts.draft_version("behavioral", number, by=None, reason="A test")
        draft.definitions.remove(*draft.definitions.filter(name__startswith="trend_"))
        feature = make_definition(
            trend.name, "behavioral", event_type="page_view", window=f"{hours}h", half_life_days=half_life
        )
        drafts.add_definitions(draft.pk, [feature], by=None)
        version_steps.put_into_shadow(draft.pk, by=None, reason="A test")
        forget_registry()
        version = Version(number, "shadow", trend, before.numbers, is_computed=False)
        version.active_id, version.activated_at = active_set(number).pk, self.clock.now
        self.world.versions[number] = version

    @rule()
    def compute_versions(self) -> None:
        """Do what is left of the runs that compute versions."""
        waiting = Run.objects.filter(kind=Run.Kind.RECOMPUTE, state=Run.State.RUNNING)
        if waiting:
            self.go_on()
            for run in waiting:
                while recompute.load_chunk(run):
                    pass
                run.refresh_from_db()
                assert run.state == Run.State.DONE
            self.world.recompute_everybody()
            for version in self.world.versions.values():
                version.is_computed = True

    @precondition(lambda self: len(self.world.readable()) > 1)
    @rule(pick=picks)
    def go_live(self, pick: int) -> None:
        self.go_on()
        ready = [row for row in self.world.readable() if row.state in ("shadow", "deprecated") and row.is_computed]
        if not ready or self.world.switches_at > self.clock.now:
            return
        version = chosen(ready, pick)
        version_steps.go_live(pk_of(version), by=None, reason="A test", carry_weights=False)
        forget_registry()
        self.world.versions[self.world.next_live].state = "deprecated"
        version.state = "live"
        self.world.next_live = version.number
        self.world.switches_at = self.world.renewal_due = self.clock.now + TICK

    @precondition(lambda self: len(self.world.readable()) > 1)
    @rule(pick=picks)
    def retire(self, pick: int) -> None:
        self.go_on()
        # The derived feature is computed from 1.0.
        ready = [row for row in self.world.readable() if row.state in ("shadow", "deprecated") and row.number != "1.0"]
        if ready and self.world.switches_at <= self.clock.now:
            version = chosen(ready, pick)
            version_steps.retire(pk_of(version), by=None, reason="A test", confirmed=True)
            forget_registry()
            version.state = "retired"

    @rule(customer_id=customer_ids, is_meant=st.sampled_from([False, False, False, True]))
    def erase(self, customer_id: str, is_meant: bool) -> None:
        if is_meant:
            self.go_on()
            response = self.api.delete(url_of(customer_id, ""))
            assert response.status_code == 200
            self.world.erase(customer_id)
            self.history = [row for row in self.history if row[1] != customer_id]
            self.served = [row for row in self.served if row[1] != customer_id]

    # --- Time and accidents -------------------------------------------------------------------------------------------
    @rule(duration=durations)
    def wait(self, duration: timedelta) -> None:
        self.go_on(duration)

    @rule()
    def lose_the_cache(self) -> None:
        self.own_redis.flushdb()
        self.world.lose_cache()

    # --- Reads --------------------------------------------------------------------------------------------------------
    def read(self, names: Sequence[str], **more: Any) -> dict[str, dict[str, Any]]:
        body = {"customer_ids": list(CUSTOMERS), "names": list(names), **more}
        response = self.api.post("/api/v1/features/batch/", body)
        assert response.status_code == 200, response.content
        shown = {values["customer_id"]: values for values in response.json()["results"]}
        self.refilled = [customer_id for customer_id, values in shown.items() if values["source"] == "database"]
        return shown

    @invariant()
    def what_is_shown_is_what_the_model_expects(self) -> None:
        live = self.world.versions[self.world.live]
        names = [*BEHAVIORAL, *([live.trend.name] if live.trend else []), "rfm_score"]
        for customer_id, shown in self.read(names).items():
            assert self.world.source(customer_id) in (shown["source"], None), customer_id
            self.check_behavioral(customer_id, shown, live)
        self.note_refills()
        for customer_id, shown in self.read(WRITTEN_NAMES).items():
            assert self.world.source(customer_id) in (shown["source"], None), customer_id
            expected = self.world.written_values(customer_id)
            assert shown["missing"] == {name: value for name, value in expected.items() if isinstance(value, str)}
            assert shown["features"] == {
                name: 0.0 if isinstance(value, str) else value for name, value in expected.items()
            }
            given = [
                held[0]
                for feature_type, of_type in WRITTEN.items()
                if (held := self.world.customers[customer_id].held(feature_type, at=self.clock.now))
                and any(not isinstance(expected[name], str) for name in of_type)
            ]
            assert moment_of(shown) == min(given, default=None)
        self.note_refills()

    def check_behavioral(self, customer_id: str, shown: dict[str, Any], version: Version) -> None:
        """Compare the values of a behavioral version, and what is derived, with the model's at the same moment."""
        at = moment_of(shown)
        expected: dict[str, float] = {}
        if at is not None:
            computed = self.world.customers[customer_id].computed
            assert computed is not None
            assert computed.confirmed_at <= at <= self.clock.now
            assert at >= self.last_moment.get((customer_id, version.number), at), "A step back"
            self.last_moment[customer_id, version.number] = at
            expected = self.world.behavioral_values(customer_id, version.number, at=at)
            if "rfm_score" in shown["features"]:
                expected |= self.world.rfm_score(customer_id, at=at)
        else:
            assert not self.world.behavioral_values(customer_id, version.number, at=self.clock.now)
        values = {name: value for name, value in shown["features"].items() if name not in shown["missing"]}
        assert values == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert set(shown["missing"].values()) <= {"no_value"}
        if "rfm_score" in shown["features"]:
            self.served.append((self.clock.now, customer_id, version.number, values))

    @rule(pick=picks)
    def read_another_version(self, pick: int) -> None:
        version = chosen(self.world.readable(), pick)
        names = [*BEHAVIORAL, *([version.trend.name] if version.trend else [])]
        for customer_id, shown in self.read(names, version=version.number).items():
            self.check_behavioral(customer_id, shown, version)
        self.note_refills()

    def note_refills(self) -> None:
        """Tell the model which customers the last read has put into Redis, in all hashes."""
        for customer_id in self.refilled:
            self.world.refill(customer_id)

    @precondition(lambda self: self.served)
    @rule(pick=picks)
    def read_as_of(self, pick: int) -> None:
        """Values as of a moment, known then, are those that were served; time-dependent ones up to two days older."""
        moment, customer_id, number, served = chosen(self.served, pick)
        version = self.world.versions[number]
        names = [*BEHAVIORAL, *([version.trend.name] if version.trend else [])]
        if version.state == "retired":
            return
        body = {
            "entities": [{"customer_id": customer_id, "timestamp": moment.isoformat()}], "names": names,
            "version": number, "known_at": moment.isoformat(),
        }  # fmt: skip
        (row,) = self.api.post("/api/v1/features/as-of/", body).json()["results"]
        for name in names:
            if name not in served:
                assert row["missing"][name] == "no_value"
            elif name == "recency_score":
                assert served[name] - 1e-9 <= row["features"][name] <= served[name] + 2 / 30 + 1e-9
            elif version.trend and name == version.trend.name and version.trend.half_life:
                assert served[name] * (1 - 1e-9) <= row["features"][name] <= served[name] * 2.0 * (1 + 1e-9)
            else:
                assert row["features"][name] == pytest.approx(served[name], rel=1e-9, abs=1e-9)

    @rule(customer_id=customer_ids, feature_type=st.sampled_from(list(WRITTEN)))
    def read_history(self, customer_id: str, feature_type: str) -> None:
        name = WRITTEN[feature_type][0]
        rows = self.api.get(url_of(customer_id, f"features/{name}/history/")).json()["results"]
        written = self.world.customers[customer_id].written.get(feature_type, [])
        expected = [row for _, row in sorted(enumerate(written), key=lambda row: (row[1][0], row[0]), reverse=True)]
        assert [(datetime.fromisoformat(row["timestamp"]), row["features"]) for row in rows] == [
            row for row in expected if name in row[1]
        ]

    @invariant()
    def history_is_only_appended_and_in_order(self) -> None:
        fields = ("pk", "customer_id", "feature_type", "version", "timestamp", "recorded_at", "features")
        rows = list(CustomerFeature.objects.order_by("pk").values_list(*fields))
        assert rows[: len(self.history)] == self.history
        recorded = [row[5] for row in rows]
        assert recorded == sorted(recorded)
        assert all(row[4] <= row[5] for row in rows)
        assert not any(self.world.customers[row[1]].is_erased for row in rows)
        self.history = rows


def as_posted(event: Happened) -> dict[str, Any]:
    metadata = {"amount": event.amount, **({} if event.category is None else {"category": event.category})}
    session = {} if event.session is None else {"session_id": event.session}
    return {
        "event_id": event.event_id, "customer_id": event.customer_id, "event_type": event.event_type,
        "timestamp": event.at.isoformat(), "metadata": metadata, **session,
    }  # fmt: skip


def as_weights(numbers: Numbers) -> Weights:
    return Weights(
        weight={name: numbers[name][0] for name in FIRST_NUMBERS},
        norm={name: numbers[name][1] for name in FIRST_NUMBERS},
        monetary_norm=MONETARY_NORM,
    )


def chosen(rows: Sequence[Any], pick: int) -> Any:
    return rows[pick % len(rows)]


def pk_of(version: Version) -> int:
    return FeatureVersion.objects.get(feature_type="behavioral", number=version.number).pk


def moment_of(shown: dict[str, Any]) -> datetime | None:
    text = shown["computed_at"]
    return None if text is None else datetime.fromisoformat(text)


@pytest.fixture
def machine(api: ApiClient, clock: Clock, own_redis: "redis.Redis[bytes]") -> type[FeatureHub]:
    FeatureHub.api, FeatureHub.clock, FeatureHub.own_redis = api, clock, own_redis
    return FeatureHub


@pytest.mark.timeout(1_200)
def test_the_product_shows_what_the_model_shows(machine: type[FeatureHub]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(STEPS // STEPS_PER_EXAMPLE, 1),
            stateful_step_count=STEPS_PER_EXAMPLE,
            suppress_health_check=list(HealthCheck),
            # A step takes some milliseconds: a minute of shrinking is not enough, and Hypothesis takes five.
            phases=[phase for phase in Phase if phase is not Phase.shrink or SHRINK],
            print_blob=False,
        ),
    )


def test_weights_of_a_version_retired_since_are_no_reason_to_score_again(machine: type[FeatureHub]) -> None:
    state = machine()
    try:
        state.put_into_shadow(hours=24, half_life=None)
        state.activate(pick=1, changes={"login": (2.0, 3.0)})
        state.retire(pick=0)
        state.rescore()
        state.ingest(new=[("c1", "login", timedelta(hours=1), None, 0.0, None)], again=[])
        state.settle_marks()
        state.rescore()
        assert state.world.customers["c1"].computed is not None
        state.what_is_shown_is_what_the_model_expects()
    finally:
        state.teardown()
