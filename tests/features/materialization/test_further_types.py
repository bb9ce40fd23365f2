"""Events of types that are not there from the start: counted, stored with the history, scored, and windowed."""

from datetime import UTC, datetime

import pytest
from django.db import connection

from events.registration import archive_event_type
from features.engines import postgres
from features.lifecycle import weight_set_steps
from features.materialization import recompute, refresh, rescore, runs
from features.models import EventHour, WeightSet
from features.monitoring.event_volume import count_next
from features.registry.weight_sets import active_set, as_weights
from tests.api_client import ApiClient
from tests.factories import (
    ago,
    cached,
    make_customer,
    make_event,
    make_event_type,
    make_version,
    make_weight_set,
    rows_of,
    store_events,
    url_of,
)

pytestmark = pytest.mark.django_db


def set_with_trials() -> WeightSet:
    """Return a draft with the active weights, and 0.4 for two trials."""
    draft = make_weight_set()
    draft.weights.create(event_type="trial_started", weight=0.4, norm=2.0)
    return draft


def activate_trials() -> None:
    """Activate `set_with_trials` and score everybody with it."""
    run = weight_set_steps.activate(set_with_trials().pk, by=None, reason="Trials count")
    while rescore.rescore(run):
        pass
    runs.finish_rescore(run)


@pytest.fixture(autouse=True)
def trial_started() -> None:
    make_event_type("trial_started")


def test_their_counts_are_stored_with_the_history() -> None:
    make_customer("c1", page_view=1, trial_started=2)
    make_customer("c2", page_view=1)
    assert rows_of("c1")[-1].metadata["activity"]["other_types"] == {"trial_started": 2}
    assert "other_types" not in rows_of("c2")[-1].metadata["activity"]


def test_an_event_that_changes_no_value_yet_is_stored_for_weights_that_come_later() -> None:
    make_customer("c1", page_view=1)
    make_customer("c1", trial_started=1)
    assert [row.metadata["activity"].get("other_types") for row in rows_of("c1")] == [None, {"trial_started": 1}]
    refresh.refresh_dirty()
    assert len(rows_of("c1")) == 2


def test_new_weights_count_them_without_reading_events() -> None:
    make_customer("c1", trial_started=1)
    assert cached("c1")["engagement_score"] == "0.0"
    activate_trials()
    assert cached("c1")["engagement_score"] == "0.2"


def test_a_set_that_was_active_before_a_type_was_registered_stays_as_it_was(api: ApiClient) -> None:
    make_customer("c1", page_view=1, trial_started=5)
    explanation = api.get(url_of("c1", "explanation/")).json()
    part = next(row for row in explanation["contributions"] if row["event_type"] == "trial_started")
    assert (part["count"], part["weight"], part["norm"], part["contribution"]) == (5, 0.0, 100.0, 0.0)
    weights = api.get("/api/v1/weights/").json()["active"]["weights"]
    assert weights["trial_started"] == {"weight": 0.0, "norm": 100.0}
    assert active_set("1.0").weights.count() == 6


def test_the_explanation_adds_up_with_them(api: ApiClient) -> None:
    activate_trials()
    make_customer("c1", page_view=10, trial_started=1)
    explanation = api.get(url_of("c1", "explanation/")).json()
    parts = {row["event_type"]: row["contribution"] for row in explanation["contributions"]}
    assert parts["trial_started"] == pytest.approx(0.2)
    assert sum(parts.values()) == pytest.approx(explanation["unclamped_score"]) == pytest.approx(0.23)


def test_an_archived_type_counts_as_before_and_is_explained_while_it_does(api: ApiClient) -> None:
    activate_trials()
    make_customer("c1", trial_started=1)
    archive_event_type("trial_started")
    recompute.recompute_customers(customer_ids=["c1"])
    assert cached("c1")["engagement_score"] == "0.2"
    parts = {row["event_type"] for row in api.get(url_of("c1", "explanation/")).json()["contributions"]}
    assert "trial_started" in parts


def test_compute_tries_a_weight_for_them(api: ApiClient) -> None:
    sent = {
        "events": [make_event(event_type="trial_started")],
        "weights": {"trial_started": {"weight": 0.5, "norm": 1}},
    }
    answer = api.post("/api/v1/features/compute/", sent).json()
    assert answer["features"]["engagement_score"] == 0.5
    assert answer["metadata"]["activity"]["other_types"] == {"trial_started": 1}
    refused = api.post("/api/v1/features/compute/", {"events": [], "weights": {"guess": {"weight": 1}}})
    assert refused.json()["errors"][0]["attr"] == "weights"
    assert "trial_started" in refused.json()["errors"][0]["detail"]


def test_new_sets_have_a_row_for_every_type() -> None:
    numbers = as_weights(active_set("1.0"))
    made = weight_set_steps.draft_weight_set(version="1.0", name="x", reason="x", numbers=numbers, by=None)
    row = made.weights.get(event_type="trial_started")
    assert (row.weight, row.norm) == (0.0, 100.0)
    assert as_weights(made) == numbers


def test_windows_over_them_are_computed() -> None:
    make_version("behavioral", trials_7d={"kind": "count", "event_type": "trial_started", "window": "7d"}, state="live")
    make_customer("c1", page_view=1, trial_started=2)
    assert cached("c1")["trials_7d"] == "2.0"


def test_they_are_counted_in_event_volume() -> None:
    store_events(make_event(event_type="trial_started"), make_event(timestamp=ago(minutes=1)))
    while count_next(now=datetime.now(UTC)):
        pass
    counted = EventHour.objects.filter(event_type="trial_started")
    assert sum(row.events for row in counted) == 1
    assert EventHour.objects.filter(event_type="login").exists()


def test_with_the_first_types_alone_the_other_counts_cost_no_pass_over_the_events() -> None:
    store_events(make_event())
    sql = postgres.activity_sql_of(())
    asked = postgres.shared_parameters(datetime.now(UTC), window_days=30) | {"customer_ids": ["c1"]}

    def plan() -> str:
        with connection.cursor() as cursor:
            cursor.execute(f"explain (analyze, costs off, timing off, summary off) {sql}", asked)
            return "\n".join(line for (line,) in cursor.fetchall())

    assert "never executed" in plan()
    store_events(make_event(event_type="trial_started"))
    assert "never executed" not in plan()


def test_fifty_types_are_counted_scored_and_explained(api: ApiClient) -> None:
    names = [f"type_{number}" for number in range(44)]
    for name in names:
        make_event_type(name)
    draft = make_weight_set()
    for name in names:
        draft.weights.create(event_type=name, weight=0.01, norm=1.0)
    weight_set_steps.activate(draft.pk, by=None, reason="All of them count")
    make_customer("c1", **dict.fromkeys(names, 1))
    explanation = api.get(url_of("c1", "explanation/")).json()
    assert explanation["engagement_score"] == pytest.approx(0.44)
    assert len(explanation["contributions"]) == 6 + 1 + 44
    assert rows_of("c1")[-1].metadata["activity"]["other_types"] == dict.fromkeys(names, 1)
